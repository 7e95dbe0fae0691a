"""Training the last blocks of a CLIP: the same numbers as the whole CLIP, only what is asked for is trained."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from clip_layouts import CONFIG  # noqa: E402

from lib_hps.errors import InputError  # noqa: E402
from lib_hps.scoring.clip.model import build  # noqa: E402
from lib_hps.training.choice_model import ChoiceModel  # noqa: E402
from lib_hps.training.feature_cache import FeatureCache  # noqa: E402

CUTS = [(1, 1), (2, 1), (1, 2), (2, 2), (2, 0), (0, 2)]


def inputs():
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randn(5, 3, 16, 16, generator=generator)
    tokens = torch.zeros(2, 16, dtype=torch.long)
    for row, length in enumerate((7, 12)):
        tokens[row, : length - 1] = torch.randint(1, 500, (length - 1,), generator=generator)
        tokens[row, length - 1] = 519
    return pixels, tokens, torch.tensor([0, 0, 1, 1, 1])


@pytest.mark.parametrize(("image_blocks", "text_blocks"), CUTS)
def test_scores_are_those_of_the_whole_clip(image_blocks, text_blocks):
    clip = build(CONFIG, seed=3).eval()
    pixels, tokens, prompt_of = inputs()
    with torch.no_grad():
        images, texts, scale = clip(pixels, tokens)
    model = ChoiceModel(clip, image_blocks=image_blocks, text_blocks=text_blocks)
    below = model.image_below(pixels), model.text_below(tokens), tokens.argmax(dim=-1)
    scores = model(*below, prompt_of)
    torch.testing.assert_close(scores, scale * (images * texts[prompt_of]).sum(dim=-1))


@pytest.mark.parametrize(("image_blocks", "text_blocks"), CUTS)
def test_exactly_the_last_blocks_and_heads_get_gradients(image_blocks, text_blocks):
    clip = build(CONFIG, seed=3)
    model = ChoiceModel(clip, image_blocks=image_blocks, text_blocks=text_blocks)
    pixels, tokens, prompt_of = inputs()
    model(model.image_below(pixels), model.text_below(tokens), tokens.argmax(dim=-1), prompt_of).sum().backward()
    moved = {name for name, p in clip.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    wanted = {name for name, p in clip.named_parameters() if p.requires_grad}
    assert moved == wanted
    assert "logit_scale" in wanted
    for tower, blocks in (("visual.transformer", image_blocks), ("transformer", text_blocks)):
        numbers = {int(n.split("resblocks.")[1].split(".")[0]) for n in wanted if n.startswith(f"{tower}.resblocks")}
        assert numbers == set(range(2 - blocks, 2))


def test_gradients_are_those_of_the_whole_clip():
    pixels, tokens, prompt_of = inputs()
    found = []
    for is_cut in (True, False):
        clip = build(CONFIG, seed=3)
        if is_cut:
            model = ChoiceModel(clip, image_blocks=1, text_blocks=1)
            scores = model(model.image_below(pixels), model.text_below(tokens), tokens.argmax(dim=-1), prompt_of)
        else:
            images, texts, scale = clip(pixels, tokens)
            scores = scale * (images * texts[prompt_of]).sum(dim=-1)
        scores.square().sum().backward()
        found.append({name: p.grad for name, p in clip.named_parameters() if p.grad is not None})
    for name, gradient in found[0].items():
        torch.testing.assert_close(gradient, found[1][name], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("image_blocks", "text_blocks", "named"),
    [(3, 0, "image_blocks is 3"), (0, -1, "text_blocks is -1"), (0, 0, "both")],
)
def test_impossible_cuts_are_refused(image_blocks, text_blocks, named):
    with pytest.raises(InputError, match=named):
        ChoiceModel(build(CONFIG, seed=3), image_blocks=image_blocks, text_blocks=text_blocks)


class TestFeatureCache:
    def test_what_was_kept_is_found_under_its_model_and_name_alone(self, tmp_path):
        kept = torch.arange(6.0).view(2, 3)
        FeatureCache(tmp_path, "model 1").keep("aa11", kept)
        assert torch.equal(FeatureCache(tmp_path, "model 1").find("aa11").float(), kept)
        assert FeatureCache(tmp_path, "model 2").find("aa11") is None
        assert FeatureCache(tmp_path, "model 1").find("aa12") is None

    def test_a_damaged_file_counts_as_missing_and_is_said(self, tmp_path, caplog):
        cache = FeatureCache(tmp_path, "model")
        cache.keep("aa11", torch.ones(4))
        (file,) = tmp_path.rglob("*.safetensors")
        for damage in (b"", file.read_bytes()[:-3], b"x" * 100):
            file.write_bytes(damage)
            assert cache.find("aa11") is None
            assert file.name in caplog.text
            caplog.clear()
        cache.keep("aa11", torch.zeros(4))
        assert torch.equal(cache.find("aa11").float(), torch.zeros(4))

    def test_whole_numbers_stay_whole(self, tmp_path):
        tokens = torch.tensor([[1, 49407]])
        assert torch.equal(FeatureCache(tmp_path, "model").keep("aa11", tokens), tokens)
