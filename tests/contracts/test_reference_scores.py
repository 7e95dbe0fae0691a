"""Whole scores, from files to numbers, equal those of the public packages on the same weights (max difference 1e-4)."""

from __future__ import annotations

import contextlib
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import peers
import pytest
import tiny_weights
import torch
from PIL import Image

from lib_hps.scoring import load_scorer
from lib_hps.scoring.clip.bpe import OPENAI_MERGES
from lib_hps.scoring.clip.tokenizer import Tokenizer
from lib_hps.scoring.images import CLIP_MEAN, CLIP_STD
from tools.tiny_models.captions import write_clip_tokenizer

LIMIT = 1e-4
PROMPTS = ["a red fox in the snow", "two boats (one blue) at sea: 10:30 am", "ein Fuchs 🦊 im Schnee"]


def peer(name: str) -> Any:
    try:
        return peers.PEERS[name]()
    except ImportError as error:
        pytest.skip(f"{name}: {error}")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Noise, which shows every difference of resizing, at sizes above and below the model's, even and odd."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(1)
    paths = []
    for number, (width, height) in enumerate([(64, 64), (101, 60), (45, 83), (28, 28), (20, 13), (29, 27), (256, 255)]):
        Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(folder / f"{number}.png")
        paths.append(folder / f"{number}.png")
    return paths


def _openai_tokenizer_of(transformers: ModuleType, folder: Path) -> Callable[[str], torch.Tensor]:
    """transformers' own tokenizer over OpenAI's vocabulary, from the merges that every CLIP shares."""
    lines = gzip.decompress(OPENAI_MERGES.read_bytes()).decode().split("\n")[1 : 49152 - 256 - 2 + 1]
    write_clip_tokenizer([(a, b) for a, b in (line.split() for line in lines)], folder)
    tokenizer = transformers.CLIPTokenizer.from_pretrained(str(folder))
    return lambda text: tokenizer(text, padding="max_length", truncation=True, return_tensors="pt").input_ids


@pytest.mark.parametrize("prompt", [*PROMPTS, "a cat\u2019s \u201chat\u201d"])
def test_pickscore_equals_its_model_card_through_transformers(
    pictures: list[Path], tmp_path: Path, prompt: str
) -> None:
    with contextlib.suppress(ImportError):
        peers.open_clip()  # mends a torchvision built for another torch, which transformers would stumble over
    transformers = peer("transformers")
    path = tiny_weights.write_pickscore(tmp_path / "PickScore_v1.safetensors", 4)
    model = tiny_weights.transformers_clip(4)
    # the pure Pillow processor is the one of PickScore's time; newer ones resize with torchvision
    processor_class = getattr(transformers, "CLIPImageProcessorPil", None) or transformers.CLIPImageProcessor
    side = {"height": tiny_weights.SIZE_PX, "width": tiny_weights.SIZE_PX}
    processor = processor_class(size={"shortest_edge": tiny_weights.SIZE_PX}, crop_size=side)
    tokens = _openai_tokenizer_of(transformers, tmp_path / "tokenizer")
    with torch.inference_mode():
        pixels = processor([Image.open(p) for p in pictures], return_tensors="pt")["pixel_values"]
        image = peers.transformers_features(model.get_image_features(pixels))
        text = peers.transformers_features(model.get_text_features(tokens(prompt)))
        cosine = torch.nn.functional.normalize(image, dim=-1) @ torch.nn.functional.normalize(text, dim=-1).T
        expected = (model.logit_scale.exp() * cosine[:, 0]).numpy()
    scorer = load_scorer("pickscore", weights=path, device="cpu", clean_prompts=False)
    assert np.abs(scorer.score(pictures, prompt) - expected).max() < LIMIT


@pytest.mark.parametrize("prompt", PROMPTS)
def test_hps_v2_equals_hpsv2_score(
    pictures: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prompt: str
) -> None:
    peer("hpsv2")
    from hpsv2 import img_score
    from hpsv2.src.open_clip.model import CLIP
    from hpsv2.src.open_clip.transform import image_transform

    size = tiny_weights.SIZE_PX
    vision = {"image_size": size, "patch_size": 14, "width": 64, "layers": 2, "head_width": 64, "mlp_ratio": 2.0}
    text = {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 1, "layers": 2}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        theirs = CLIP(tiny_weights.EMBED_DIM, vision, text, output_dict=True)
    path = tmp_path / "HPS_v2_compressed.pt"
    torch.save({"state_dict": theirs.state_dict(), "epoch": 1}, path)
    preprocess = image_transform(size, is_train=False, resize_longest_max=True)
    monkeypatch.setattr(img_score, "model_dict", {"model": theirs, "preprocess_val": preprocess})
    monkeypatch.setattr(img_score, "device", "cpu")
    # at exactly the model's size hpsv2 skips the padding and could not take the others: all of these are resized
    expected = np.array(img_score.score([str(p) for p in pictures], prompt, cp=str(path)))
    scores = load_scorer("hps-v2.0", weights=path, device="cpu", clean_prompts=False).score(pictures, prompt)
    assert np.abs(scores - expected).max() < LIMIT


@pytest.mark.parametrize("prompt", PROMPTS)
def test_hps_v1_equals_openais_clip_and_the_plain_gelu_would_not(
    pictures: list[Path], tmp_path: Path, prompt: str
) -> None:
    module = peer("openai")
    peer("open_clip")  # makes torchvision importable
    from torchvision import transforms

    size = tiny_weights.SIZE_PX
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        theirs = module.CLIP(tiny_weights.EMBED_DIM, size, 2, 64, 14, 77, 49408, 64, 1, 2).float().eval()
    path = tmp_path / "hpc.pt"
    torch.save({"state_dict": theirs.state_dict()}, path)
    preprocess = transforms.Compose(
        [
            transforms.Resize(size, interpolation=transforms.InterpolationMode.BICUBIC),
            transforms.CenterCrop(size),
            transforms.ToTensor(),
            transforms.Normalize(CLIP_MEAN, CLIP_STD),
        ]
    )
    tokens = Tokenizer()([prompt])  # equal to OpenAI's own: test_peers.py
    with torch.inference_mode():
        image = theirs.encode_image(torch.stack([preprocess(Image.open(p)) for p in pictures]))
        text = theirs.encode_text(tokens)
        cosine = torch.nn.functional.normalize(image, dim=-1) @ torch.nn.functional.normalize(text, dim=-1).T
    expected = cosine[:, 0].numpy()
    scores = load_scorer("hps-v1", weights=path, device="cpu", clean_prompts=False).score(pictures, prompt)
    assert np.abs(scores - expected).max() < LIMIT
    plain = load_scorer("clip:ViT-L-14/mine", weights=path, device="cpu", clean_prompts=False).score(pictures, prompt)
    assert np.abs(plain - expected).max() > LIMIT


def test_an_architecture_that_only_open_clip_knows_scores_through_that_library(
    pictures: list[Path], tmp_path: Path
) -> None:
    library = peer("open_clip")
    vision = {"image_size": 28, "layers": 2, "width": 64, "patch_size": 14, "head_width": 64}
    text = {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 1, "layers": 2}
    config = {"embed_dim": 32, "vision_cfg": vision, "text_cfg": text}
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "hps-test-arch.json").write_text(json.dumps(config), encoding="utf-8")
    library.add_model_config(tmp_path / "configs")
    path = tmp_path / "weights.pt"
    torch.save(library.create_model("hps-test-arch", pretrained=None).state_dict(), path)
    through_library = load_scorer("clip:hps-test-arch/mine", weights=path, device="cpu")
    ours = load_scorer("clip:ViT-B-16/mine", weights=path, device="cpu")
    expected = ours.score(pictures, "a fox")
    assert np.abs(through_library.score(pictures, "a fox") - expected).max() < LIMIT
    assert through_library.score(pictures[0], "a fox " * 100).shape == (1,)
