"""The CLIP towers and their configuration (equality with the public models is in tests/contracts/test_peers.py)."""

from __future__ import annotations

import dataclasses
import math
import subprocess
import sys

import pytest

torch = pytest.importorskip("torch")

from lib_hps.errors import InputError  # noqa: E402
from lib_hps.scoring.clip.architectures import ARCHITECTURES, named_config  # noqa: E402
from lib_hps.scoring.clip.config import ClipConfig, TextConfig, VisionConfig, config_from_state_dict  # noqa: E402
from lib_hps.scoring.clip.layers import Attention, Block, quick_gelu  # noqa: E402
from lib_hps.scoring.clip.model import Clip, build  # noqa: E402

TEXT = TextConfig(vocab_size=600, context_length=16, width=64, layers=2, heads=1, mlp_width=128)
VIT = VisionConfig(image_size=32, width=128, layers=3, heads=2, patch_size=8, mlp_width=256)
RESNET = VisionConfig(kind="resnet", image_size=64, width=16, layers=(1, 2, 1, 1), heads=8)
CONFIGS = [ClipConfig(embed_dim=48, vision=vision, text=TEXT, quick_gelu=True) for vision in (VIT, RESNET)]


def tokens(*lengths: int):
    ids = torch.zeros(len(lengths), 16, dtype=torch.int64)
    for row, length in enumerate(lengths):
        ids[row, :length] = torch.arange(1, length + 1)
        ids[row, length] = 599
    return ids


@pytest.mark.parametrize("config", CONFIGS, ids=["vit", "resnet"])
def test_features_have_one_row_per_input(config):
    model = build(config, seed=0).eval()
    size = config.vision.image_size
    assert model.encode_image(torch.randn(3, 3, size, size)).shape == (3, 48)
    assert model.encode_text(tokens(2, 9)).shape == (2, 48)
    images, texts, scale = model(torch.randn(2, 3, size, size), tokens(3, 4))
    assert images.norm(dim=-1).tolist() == pytest.approx([1, 1])
    assert texts.norm(dim=-1).tolist() == pytest.approx([1, 1])
    assert scale.item() == pytest.approx(1 / 0.07)


@pytest.mark.parametrize("config", CONFIGS, ids=["vit", "resnet"])
@pytest.mark.parametrize("quick", [False, True])
def test_the_shapes_of_the_weights_give_the_configuration_back(config, quick):
    config = dataclasses.replace(config, quick_gelu=quick)
    state = build(config).state_dict()
    head_width = 16 * 32 // 8 if config.vision.kind == "resnet" else None
    assert config_from_state_dict(state, quick_gelu=quick, head_width=head_width) == config
    assert ClipConfig.from_json(config.to_json()) == config


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_published_architectures_are_inferred_from_their_weights(name):
    for suffix in ("", "-quickgelu"):
        config = named_config(name + suffix)
        with torch.device("meta"):
            state = Clip(config).state_dict()
        assert config_from_state_dict(state, quick_gelu=config.quick_gelu) == config
    with pytest.raises(InputError, match="ViT-B-32"):
        named_config("ViT-Z-99")


def test_a_prompt_gives_the_same_features_beside_any_other():
    model = build(CONFIGS[0], seed=0).eval()
    with torch.inference_mode():
        together = model.encode_text(tokens(1, 5, 15))
        for row, length in enumerate((1, 5, 15)):
            torch.testing.assert_close(model.encode_text(tokens(length))[0], together[row], atol=1e-5, rtol=1e-5)


def test_no_prompts_and_no_pictures_give_no_features():
    model = build(CONFIGS[0], seed=0).eval()
    assert model.encode_text(tokens()).shape == (0, 48)
    assert model.encode_image(torch.zeros(0, 3, 32, 32)).shape == (0, 48)


def test_the_last_block_on_the_class_token_alone_is_the_whole_block():
    torch.manual_seed(0)
    block = Block(64, 4, 128, use_quick_gelu=True)
    torch.nn.init.normal_(block.attn.in_proj_weight)
    torch.nn.init.normal_(block.attn.in_proj_bias)
    x = torch.randn(3, 7, 64)
    torch.testing.assert_close(block.first(x), block(x)[:, :1], atol=1e-4, rtol=1e-4)


def test_attention_is_pytorchs_multi_head_attention():
    torch.manual_seed(0)
    theirs = torch.nn.MultiheadAttention(64, 4, batch_first=True)
    torch.nn.init.normal_(theirs.in_proj_bias)
    ours = Attention(64, 4)
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(2, 7, 64)
    torch.testing.assert_close(ours(x), theirs(x, x, x, need_weights=False)[0])
    mask = torch.full((7, 7), -math.inf).triu(1)
    torch.testing.assert_close(ours(x, is_causal=True), theirs(x, x, x, need_weights=False, attn_mask=mask)[0])


@pytest.mark.parametrize("has_gradient", [False, True])
def test_quick_gelu_is_x_times_sigmoid_and_keeps_its_input(has_gradient):
    x = torch.linspace(-8, 8, 101).requires_grad_(has_gradient)
    before = x.detach().clone()
    torch.testing.assert_close(quick_gelu(x), before * torch.sigmoid(1.702 * before))
    assert torch.equal(x, before)


@pytest.mark.parametrize("config", CONFIGS, ids=["vit", "resnet"])
def test_every_weight_gets_a_gradient(config):
    model = build(config, seed=0)
    size = config.vision.image_size
    # a ResNet starts with its residual branches at zero, behind which nothing has a gradient yet
    for name, parameter in model.named_parameters():
        if name.endswith("bn3.weight"):
            torch.nn.init.ones_(parameter)
    images, texts, scale = model(torch.randn(4, 3, size, size), tokens(3, 5, 7, 15))
    torch.nn.functional.cross_entropy(scale * images @ texts.T, torch.arange(4)).backward()
    without = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    # a softmax does not see a shift of all its keys
    assert [name for name in without if not name.endswith("k_proj.bias")] == []


def test_a_few_steps_of_training_teach_it_four_pairs():
    model = build(CONFIGS[0], seed=0)
    pixels = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    for _ in range(30):
        images, texts, scale = model(pixels, tokens(3, 5, 7, 11))
        loss = torch.nn.functional.cross_entropy(scale * images @ texts.T, torch.arange(4))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("config", CONFIGS, ids=["vit", "resnet"])
def test_half_precision_is_close(config, dtype):
    if dtype == torch.float16 and config.vision.kind == "resnet" and torch.__version__ < "2.2":
        pytest.skip("this torch has no fp16 convolution on the CPU")
    model = build(config, seed=0).eval()
    size = config.vision.image_size
    pixels = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        image, text = model.encode_image(pixels), model.encode_text(tokens(3, 9))
        model.to(dtype)
        try:
            half = model.encode_image(pixels), model.encode_text(tokens(3, 9))
        except RuntimeError as error:
            pytest.skip(f"this torch cannot compute in {dtype} on the CPU: {error}")
    for got, wanted in zip(half, (image, text), strict=True):
        assert got.dtype == dtype
        assert torch.nn.functional.cosine_similarity(got.float(), wanted).min() > 0.999


def test_a_seed_gives_the_same_weights_and_leaves_the_global_generator():
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    first, second, other = (build(CONFIGS[0], seed=seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.rand(1), expected)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["visual.proj"], other["visual.proj"])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"width": 100, "heads": 3}, "do not divide"),
        ({"layers": 0}, "layers must be a positive integer, got 0"),
        ({"patch_size": 7}, "multiple"),
        ({"kind": "vat"}, "'vat'"),
        ({"kind": "resnet"}, "four positive"),
    ],
)
def test_a_configuration_that_cannot_be_built_says_which_value(changes, words):
    with pytest.raises(InputError, match=words):
        dataclasses.replace(VIT, **changes)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"vision": {}, "text": {}}', '{"embed_dim": 1}'])
def test_a_text_that_is_no_configuration_is_refused(text):
    with pytest.raises(InputError, match="hps_config"):
        ClipConfig.from_json(text)


def test_wrong_shapes_are_refused_with_both_shapes():
    model = build(CONFIGS[0], seed=0)
    with pytest.raises(InputError, match=r"\(N, 3, 32, 32\), got \(1, 3, 31, 32\)"):
        model.encode_image(torch.zeros(1, 3, 31, 32))
    with pytest.raises(InputError, match=r"at most 16\), got \(1, 17\)"):
        model.encode_text(torch.zeros(1, 17, dtype=torch.int64))
    state = model.state_dict()
    del state["text_projection"]
    with pytest.raises(InputError, match="text_projection"):
        config_from_state_dict(state, quick_gelu=False)


def test_configuration_and_file_headers_need_no_torch():
    code = (
        "import sys; from lib_hps.scoring import checkpoints;"
        "from lib_hps.scoring.clip import architectures, config, tokenizer; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
