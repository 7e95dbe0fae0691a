"""Training the last blocks of a CLIP or LoRAs on them: the whole CLIP's numbers, only what is asked for is trained."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from clip_layouts import CONFIG  # noqa: E402

from lib_hps.errors import InputError  # noqa: E402
from lib_hps.scoring.clip.config import ClipConfig, VisionConfig  # noqa: E402
from lib_hps.scoring.clip.model import Clip, build  # noqa: E402
from lib_hps.training.choice_lora import merge  # noqa: E402
from lib_hps.training.choice_model import ChoiceModel  # noqa: E402
from lib_hps.training.feature_cache import FeatureCache  # noqa: E402

CUTS = [(1, 1), (2, 1), (1, 2), (2, 2), (2, 0), (0, 2)]
TOWER = VisionConfig(kind="resnet", image_size=64, width=16, layers=(1, 1, 2, 1), heads=8)
RESNET = ClipConfig(embed_dim=32, vision=TOWER, text=CONFIG.text)
RESNET_CUTS = [(1, 1), (3, 1), (5, 2), (0, 1), (4, 0)]
EVERY = [(CONFIG, *cut) for cut in CUTS] + [(RESNET, *cut) for cut in RESNET_CUTS]


def small(config=CONFIG) -> Clip:
    """Random weights; a ResNet's residual branches begin at zero, which would hide what they do."""
    clip = build(config, seed=3).eval()
    generator = torch.Generator().manual_seed(4)
    for module in clip.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.weight.data.uniform_(0.5, 1.5, generator=generator)
            module.running_mean.normal_(std=0.1, generator=generator)
            module.running_var.uniform_(0.5, 2, generator=generator)
    return clip


def inputs(config=CONFIG):
    generator = torch.Generator().manual_seed(0)
    side = config.vision.image_size
    pixels = torch.randn(5, 3, side, side, generator=generator)
    tokens = torch.zeros(2, 16, dtype=torch.long)
    for row, length in enumerate((7, 12)):
        tokens[row, : length - 1] = torch.randint(1, 500, (length - 1,), generator=generator)
        tokens[row, length - 1] = 519
    return pixels, tokens, torch.tensor([0, 0, 1, 1, 1])


def scores_of(model: ChoiceModel, config=CONFIG) -> torch.Tensor:
    pixels, tokens, prompt_of = inputs(config)
    return model(model.image_below(pixels), model.text_below(tokens), tokens.argmax(dim=-1), prompt_of)


def scores_of_clip(clip: Clip, config=CONFIG) -> torch.Tensor:
    pixels, tokens, prompt_of = inputs(config)
    images, texts, scale = clip(pixels, tokens)
    return scale * (images * texts[prompt_of]).sum(dim=-1)


@pytest.mark.parametrize("rank", [0, 2])
@pytest.mark.parametrize(("config", "image_blocks", "text_blocks"), EVERY)
@torch.no_grad()
def test_scores_are_those_of_the_whole_clip(config, image_blocks, text_blocks, rank):
    wanted = scores_of_clip(small(config), config)
    model = ChoiceModel(small(config), image_blocks=image_blocks, text_blocks=text_blocks, rank=rank).train()
    torch.testing.assert_close(scores_of(model, config), wanted)


def trained_after_a_step(model: ChoiceModel, config) -> set[str]:
    """Names of what gets a gradient; behind a first step, before which up is zero and hides down."""
    optimizer = torch.optim.SGD((p for p in model.parameters() if p.requires_grad), lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        scores_of(model, config).square().sum().backward()
        optimizer.step()
    return {name for name, p in model.clip.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}


@pytest.mark.parametrize(("image_blocks", "text_blocks"), CUTS)
def test_exactly_the_last_blocks_and_heads_get_gradients(image_blocks, text_blocks):
    model = ChoiceModel(small(), image_blocks=image_blocks, text_blocks=text_blocks)
    moved = trained_after_a_step(model, CONFIG)
    assert moved == {name for name, p in model.clip.named_parameters() if p.requires_grad}
    assert "logit_scale" in moved
    for tower, blocks in (("visual.transformer", image_blocks), ("transformer", text_blocks)):
        numbers = {int(n.split("resblocks.")[1].split(".")[0]) for n in moved if n.startswith(f"{tower}.resblocks")}
        assert numbers == set(range(2 - blocks, 2))


def test_of_a_resnet_the_last_residual_blocks_and_the_pool_get_gradients_and_statistics_stay():
    clip = small(RESNET)
    model = ChoiceModel(clip, image_blocks=2, text_blocks=0).train()
    before = {name: buffer.clone() for name, buffer in clip.named_buffers()}
    moved = trained_after_a_step(model, RESNET)
    # the key's bias shifts all inputs of a softmax alike, so its gradient is nothing but rounding
    wanted = {name for name, p in clip.named_parameters() if p.requires_grad} - {"visual.attnpool.k_proj.bias"}
    assert moved - {"visual.attnpool.k_proj.bias"} == wanted
    parts = ("logit_scale", "visual.attnpool.", "visual.layer3.1.", "visual.layer4.0.")
    assert wanted == {name for name, _ in clip.named_parameters() if name.startswith(parts)} - {
        "visual.attnpool.k_proj.bias"
    }
    assert all(torch.equal(before[name], buffer) for name, buffer in clip.named_buffers())


@pytest.mark.parametrize(("config", "image_blocks", "text_blocks"), EVERY)
def test_of_a_lora_the_low_ranks_alone_get_gradients_and_merging_changes_no_bit(config, image_blocks, text_blocks):
    clip = small(config)
    before = {name: tensor.clone() for name, tensor in clip.state_dict().items()}
    model = ChoiceModel(clip, image_blocks=image_blocks, text_blocks=text_blocks, rank=2)
    moved = trained_after_a_step(model, config)
    layers = 2 * text_blocks + (0 if not image_blocks else 4 if config is RESNET else 2 * image_blocks)
    ends = [name.rsplit(".", 1)[-1] for name in moved]
    assert sorted(ends) == sorted(["down", "up"] * layers + ["logit_scale"])
    with torch.no_grad():
        apart = scores_of(model, config)
        merge(model)
        assert torch.equal(scores_of(model, config), apart)
        torch.testing.assert_close(scores_of_clip(clip, config), apart)
    after = clip.state_dict()
    assert after.keys() == before.keys()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert len(changed) == layers + 1
    assert all("attn" in name and name.endswith("weight") for name in changed - {"logit_scale"})


def test_a_lora_begins_the_same_for_the_same_seed():
    begins = [
        {n: p for n, p in ChoiceModel(small(), image_blocks=1, text_blocks=1, rank=3, seed=seed).named_parameters()}
        for seed in (5, 5, 6)
    ]
    downs = [[begin[name] for name in begins[0] if name.endswith("down")] for begin in begins]
    assert all(torch.equal(a, b) for a, b in zip(downs[0], downs[1], strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(downs[0], downs[2], strict=True))


@pytest.mark.parametrize(("config", "image_blocks"), [(CONFIG, 1), (RESNET, 2)])
def test_gradients_are_those_of_the_whole_clip(config, image_blocks):
    found = []
    for is_cut in (True, False):
        clip = small(config)
        if is_cut:
            scores = scores_of(ChoiceModel(clip, image_blocks=image_blocks, text_blocks=1), config)
        else:
            scores = scores_of_clip(clip, config)
        scores.square().sum().backward()
        found.append({name: p.grad for name, p in clip.named_parameters() if p.grad is not None})
    for name, gradient in found[0].items():
        largest = float(found[1][name].abs().max().clamp_min(1))
        torch.testing.assert_close(gradient, found[1][name], atol=1e-5 * largest, rtol=1e-4)


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
