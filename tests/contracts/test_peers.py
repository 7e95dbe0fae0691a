"""Our CLIP against the public implementations, on random weights in their own file formats, at small sizes.

The full sizes are measured by benchmarks/parity.py and recorded in docs/parity.md.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import peers
import pytest

torch = pytest.importorskip("torch")

from lib_hps.scoring.checkpoints import load_clip  # noqa: E402
from lib_hps.scoring.clip.tokenizer import Tokenizer  # noqa: E402

LIMIT = 1e-4
PROMPTS = (Path(__file__).parent / "prompts.txt").read_text("utf-8").split("\n")[:-1]
LONG = " ".join(f"a very detailed painting number {i}, trending on artstation 🎨" for i in range(200))
VIT = {"image_size": 32, "patch_size": 8, "width": 128, "layers": 3}
RESNET = {"image_size": 64, "width": 32, "layers": (1, 2, 1, 1)}
TEXT = {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 1, "layers": 2}


def peer(name: str, *args: Any) -> Any:
    try:
        return peers.PEERS[name](*args)
    except ImportError as error:
        pytest.skip(f"{name}: {error}")


def shake(model: Any, seed: int = 0) -> Any:
    """Move every weight away from its initial value: zeros and ones would hide a mistake."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if tensor.is_floating_point() and tensor.ndim:
                tensor += 0.05 * torch.randn(tensor.shape, generator=generator)
                if name.endswith("running_var"):
                    tensor.abs_()
    return model.eval()


def pixels(size: int, n: int = 5) -> Any:
    return torch.randn(n, 3, size, size, generator=torch.Generator().manual_seed(1))


def tokens() -> Any:
    return Tokenizer()([*PROMPTS[:12], LONG, ""])


def largest_difference(ours: Any, theirs_image: Any, theirs_text: Any, images: Any, texts: Any) -> float:
    """The largest difference of image features, text features and cosines."""
    with torch.inference_mode():
        image, text = ours.encode_image(images), ours.encode_text(texts)
    pairs = [(image, theirs_image), (text, theirs_text), (cosines(image, text), cosines(theirs_image, theirs_text))]
    return max((a - b).abs().max().item() for a, b in pairs)


def cosines(image: Any, text: Any) -> Any:
    return torch.nn.functional.normalize(image, dim=-1) @ torch.nn.functional.normalize(text, dim=-1).T


def compare(theirs: Any, path: Path, size: int, *, quick_gelu: bool) -> tuple[float, float]:
    """Differences with the right and with the wrong activation."""
    images, texts = pixels(size), tokens()
    with torch.inference_mode():
        image, text = theirs.encode_image(images), theirs.encode_text(texts)
    right, wrong = (
        largest_difference(load_clip(path, quick_gelu=activation), image, text, images, texts)
        for activation in (quick_gelu, not quick_gelu)
    )
    return right, wrong


@pytest.mark.parametrize("tower", ["vit", "resnet"])
def test_openai_weights_in_the_hps_v1_format_give_openai_features(tmp_path, tower):
    model = peer("openai")
    size, layers, width, patch = (32, 3, 128, 8) if tower == "vit" else (64, (1, 2, 1, 1), 32, None)
    theirs = shake(model.CLIP(48, size, layers, width, patch, 77, 49408, 64, 1, 2).float())
    torch.save({"state_dict": theirs.state_dict(), "epoch": 3}, tmp_path / "hpc.pt")
    right, wrong = compare(theirs, tmp_path / "hpc.pt", size, quick_gelu=True)
    assert right < LIMIT
    assert wrong > 10 * LIMIT, "plain GELU must not pass for QuickGELU"


@pytest.mark.parametrize("quick_gelu", [False, True])
@pytest.mark.parametrize(
    "vision", [VIT, {**VIT, "head_width": 32, "width": 96}, RESNET], ids=["vit", "heads", "resnet"]
)
@pytest.mark.parametrize("text_apart", [False, True])
def test_open_clip_weights_give_open_clip_features(tmp_path, vision, quick_gelu, text_apart):
    package = peer("open_clip")
    from safetensors.torch import save_file

    from lib_hps.scoring.clip.config import CONFIG_KEY, config_from_state_dict
    from lib_hps.scoring.clip.layouts import to_open_clip_layout

    kind = package.CustomTextCLIP if text_apart else package.CLIP
    theirs = shake(kind(48, vision, TEXT, quick_gelu=quick_gelu))
    state = theirs.state_dict()
    config = config_from_state_dict(
        to_open_clip_layout(state), quick_gelu=quick_gelu, head_width=vision.get("head_width")
    )
    metadata = {CONFIG_KEY: config.to_json()} if "head_width" in vision else None
    save_file(state, tmp_path / "model.safetensors", metadata=metadata)
    right, wrong = compare(theirs, tmp_path / "model.safetensors", vision["image_size"], quick_gelu=quick_gelu)
    assert right < LIMIT
    assert wrong > 10 * LIMIT or metadata, "a file that states its activation overrides the caller"


def test_hpsv2_score_on_its_own_preprocessing_is_our_cosine(tmp_path, monkeypatch):
    package = peer("hpsv2")
    import numpy as np
    from hpsv2 import img_score
    from hpsv2.src.open_clip.model import CLIP
    from hpsv2.src.open_clip.transform import image_transform
    from PIL import Image

    size = 56
    theirs = shake(CLIP(48, {**VIT, "image_size": size, "patch_size": 14}, TEXT, output_dict=True))
    preprocess = image_transform(size, is_train=False, resize_longest_max=True)
    path = tmp_path / "HPS_v2_compressed.pt"
    torch.save({"state_dict": theirs.state_dict(), "epoch": 1}, path)
    monkeypatch.setattr(img_score, "model_dict", {"model": theirs, "preprocess_val": preprocess})
    monkeypatch.setattr(img_score, "device", "cpu")
    rng = np.random.default_rng(0)
    images = [
        Image.fromarray(rng.integers(0, 256, (h, w, 3), dtype=np.uint8)) for h, w in ((40, 64), (64, 64), (90, 30))
    ]
    ours = load_clip(path, quick_gelu=False)
    tokenizer = Tokenizer()
    for prompt in PROMPTS[:5]:
        expected = np.array(img_score.score(images, prompt, cp=str(path)), dtype=np.float32)
        with torch.inference_mode():
            image = ours.encode_image(torch.stack([preprocess(image) for image in images]))
            got = cosines(image, ours.encode_text(tokenizer([prompt])))[:, 0].numpy()
        assert np.abs(got - expected).max() < LIMIT
    assert torch.equal(package.get_tokenizer("ViT-H-14")(PROMPTS), tokenizer(PROMPTS))


@pytest.mark.parametrize("activation", ["gelu", "quick_gelu"])
@pytest.mark.parametrize("kind", ["safetensors", "bin"])
def test_transformers_weights_give_the_pickscore_of_transformers(tmp_path, activation, kind):
    package = peer("transformers")
    vision = {"image_size": 32, "patch_size": 8, "hidden_size": 128, "num_hidden_layers": 3, "num_attention_heads": 2}
    text = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 1, "eos_token_id": 49407}
    shared = {"hidden_act": activation, "intermediate_size": 192}
    theirs = shake(
        package.CLIPModel(
            package.CLIPConfig(text_config=text | shared, vision_config=vision | shared, projection_dim=48)
        )
    )
    if kind == "safetensors":
        theirs.save_pretrained(tmp_path)
        path = tmp_path / "model.safetensors"
    else:
        path = tmp_path / "pytorch_model.bin"
        position_ids = {"text_model.embeddings.position_ids": torch.arange(77)[None]}  # as in PickScore's own file
        torch.save(dict(theirs.state_dict()) | position_ids, path)
    images, texts = pixels(32), tokens()
    with torch.inference_mode():
        image = peers.transformers_features(theirs.get_image_features(pixel_values=images))
        text_features = peers.transformers_features(theirs.get_text_features(input_ids=texts))
        expected = theirs.logit_scale.exp() * cosines(image, text_features)
        ours = load_clip(path, quick_gelu=activation == "quick_gelu")
        got = ours.logit_scale.exp() * cosines(ours.encode_image(images), ours.encode_text(texts))
    assert largest_difference(ours, image, text_features, images, texts) < LIMIT
    assert (got - expected).abs().max() < LIMIT
    other = load_clip(path, quick_gelu=activation != "quick_gelu")
    assert largest_difference(other, image, text_features, images, texts) > 10 * LIMIT


def test_our_initialisation_has_open_clips_scales():
    package = peer("open_clip")
    from lib_hps.scoring.clip.config import config_from_state_dict
    from lib_hps.scoring.clip.model import build

    for vision in (VIT, RESNET):
        torch.manual_seed(0)
        theirs = package.CLIP(48, vision, TEXT).state_dict()
        ours = build(config_from_state_dict(theirs, quick_gelu=False), seed=1).state_dict()
        assert list(ours) == list(theirs) or set(ours) == set(theirs)
        for name, tensor in theirs.items():
            mine, wanted = (x.float().pow(2).mean().sqrt().item() for x in (ours[name], tensor))
            assert mine == pytest.approx(wanted, rel=0.5 if tensor.numel() < 1000 else 0.06, abs=1e-8), name


@pytest.mark.parametrize("name", ["open_clip", "openai"])
def test_tokens_are_those_of(name):
    ours = Tokenizer()
    texts = [*PROMPTS, LONG, "x" * 3000, "一只戴着红色帽子的狐狸" * 40]
    if name == "open_clip":
        assert torch.equal(peer(name).get_tokenizer("ViT-L-14")(texts), ours(texts))
        return
    peer(name)
    theirs = peers.openai_clip("simple_tokenizer").SimpleTokenizer()
    for text in texts:
        if "of_text>" not in text and "oftext|>" not in text:  # OpenAI spells the special tokens <|startoftext|>
            assert ours.encode(text) == theirs.encode(text), text


def test_tokens_are_those_of_transformers_with_its_cleaning(tmp_path):
    package = peer("transformers")
    import json

    from lib_hps.scoring.clip.bpe import OPENAI_MERGES, SPECIAL_TOKENS, BytePairEncoder, read_merges

    merges = read_merges(OPENAI_MERGES)
    theirs_special = dict(zip(SPECIAL_TOKENS, ("<|startoftext|>", "<|endoftext|>"), strict=True))
    vocabulary = {theirs_special.get(name, name): i for name, i in BytePairEncoder(merges).ids.items()}
    (tmp_path / "vocab.json").write_text(json.dumps(vocabulary), "utf-8")
    (tmp_path / "merges.txt").write_text("#version: 0.2\n" + "\n".join(map(" ".join, merges)) + "\n", "utf-8")
    theirs = package.CLIPTokenizer.from_pretrained(tmp_path)
    ours = Tokenizer(cleaning="transformers")
    texts = [text for text in PROMPTS if "of_text>" not in text and "oftext|>" not in text]
    for text in texts:
        assert [ours.start_id, *ours.encode(text), ours.end_id] == theirs(text).input_ids, text
    assert any(ours.encode(text) != Tokenizer().encode(text) for text in texts)
