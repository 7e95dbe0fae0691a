"""The contenders of benchmarks/scoring.py: each takes the same weight file and gives a function to be timed."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "contracts")]

import numpy as np  # noqa: E402
import peers  # noqa: E402
import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402
from PIL import Image  # noqa: E402

from lib_hps.scoring import load_scorer  # noqa: E402
from lib_hps.scoring.clip.architectures import named_config  # noqa: E402
from lib_hps.scoring.clip.config import ClipConfig, TextConfig, VisionConfig  # noqa: E402
from lib_hps.scoring.clip.model import build  # noqa: E402
from lib_hps.scoring.images import CLIP_MEAN, CLIP_STD  # noqa: E402

PROMPT = "a photograph of an astronaut riding a horse on the moon, highly detailed"
Score = Callable[[Any], np.ndarray]


def config_of(name: str) -> ClipConfig:
    """A published architecture, or "small": ViT-S/16-like, for a CPU."""
    if name != "small":
        return named_config(name)
    vision = VisionConfig(image_size=224, width=384, layers=12, heads=6, patch_size=16, mlp_width=1536)
    text = TextConfig(vocab_size=49408, context_length=77, width=384, layers=12, heads=6, mlp_width=1536)
    return ClipConfig(embed_dim=384, vision=vision, text=text)


def write_weights(name: str, folder: Path) -> Path:
    """Random weights as the HPS v2 release has them: half precision under `state_dict`."""
    path = folder / "HPS_v2.1_compressed.pt"
    state = build(config_of(name), seed=0).state_dict()
    torch.save({"state_dict": {key: tensor.half() for key, tensor in state.items()}}, path)
    return path


def flops_per_image(name: str) -> float:
    """Multiply-adds * 2 of the image tower: blocks and patch embedding; norms and the head are left out."""
    vision = config_of(name).vision
    layers, patch, mlp = int(str(vision.layers)), int(vision.patch_size or 1), int(vision.mlp_width or 0)
    tokens, width = vision.grid**2 + 1, vision.width
    block = 2 * tokens * (4 * width**2 + 2 * width * mlp) + 4 * tokens**2 * width
    return float(layers * block + 2 * vision.grid**2 * 3 * patch**2 * width)


def _module_config(config: ClipConfig) -> tuple[dict[str, Any], dict[str, Any]]:
    """The same shapes in the words of open_clip's CLIP."""
    v, t = config.vision, config.text
    vision = {"image_size": v.image_size, "patch_size": v.patch_size, "width": v.width, "layers": v.layers}
    vision |= {"head_width": v.width // v.heads, "mlp_ratio": (v.mlp_width or 0) / v.width}
    text = {"context_length": t.context_length, "vocab_size": t.vocab_size, "width": t.width}
    return vision, {**text, "heads": t.heads, "layers": t.layers}


def _read(model: torch.nn.Module, weights: Path, device: str, dtype: torch.dtype) -> torch.nn.Module:
    model.load_state_dict(torch.load(weights, weights_only=True)["state_dict"])
    return model.eval().to(device, dtype)


def ours(name: str, weights: Path, device: str, dtype: torch.dtype, batch: int, mode: str) -> Score:
    """This project; `mode` pad is HPS v2's preprocessing, crop is open_clip's own."""
    scorer_name = "hps-v2.1" if mode == "pad" else f"clip:{'ViT-B-16' if name == 'small' else name}/random"
    scorer = load_scorer(scorer_name, weights=weights, device=device, dtype=dtype, batch_size=batch)
    return lambda images: scorer.score(images, PROMPT)


def ours_as_it_comes(name: str, weights: Path, device: str, dtype: torch.dtype, batch: int, mode: str) -> Score:
    """This project with its own choice of precision: bf16 for large models on a CPU that has instructions for it."""
    scorer = load_scorer("hps-v2.1", weights=weights, device=device, batch_size=batch)
    return lambda images: scorer.score(images, PROMPT)


def hpsv2(name: str, weights: Path, device: str, dtype: torch.dtype, batch: int, mode: str) -> Score:
    """hpsv2.score(paths, prompt): one picture at a time, whatever the batch; it reads the weights at each call."""
    peers.hpsv2()
    from hpsv2 import img_score
    from hpsv2.src.open_clip.model import CLIP
    from hpsv2.src.open_clip.transform import image_transform

    config = config_of(name)
    model = CLIP(config.embed_dim, *_module_config(config), output_dict=True).to(device)
    preprocess = image_transform(config.vision.image_size, is_train=False, resize_longest_max=True)
    img_score.model_dict.update(model=model, preprocess_val=preprocess)
    img_score.device = device
    return lambda paths: np.asarray(img_score.score([str(p) for p in paths], PROMPT, cp=str(weights)))


def _open_clip_model(name: str) -> Any:
    open_clip = peers.open_clip()
    config = config_of(name)
    vision, text = _module_config(config)
    cfg = open_clip.model
    return cfg.CLIP(config.embed_dim, cfg.CLIPVisionCfg(**vision), cfg.CLIPTextCfg(**text), output_dict=True)


def open_clip(name: str, weights: Path, device: str, dtype: torch.dtype, batch: int, mode: str) -> Score:
    """The plain loop: preprocess a batch, encode it, encode its one prompt, cosine."""
    library = peers.open_clip()
    model: Any = _read(_open_clip_model(name), weights, device, dtype)
    size = config_of(name).vision.image_size
    tokenize: Any = library.tokenizer.SimpleTokenizer()
    if not callable(tokenize):  # before 2.21
        tokenize = library.tokenizer.tokenize
    transform = library.transform.image_transform
    if "resize_mode" in inspect.signature(transform).parameters:
        resize = {"resize_mode": "longest" if mode == "pad" else "shortest"}
    else:  # before 2.21
        resize = {"resize_longest_max": mode == "pad"}
    preprocess = transform(size, is_train=False, mean=CLIP_MEAN, std=CLIP_STD, **resize)
    mean, std = (torch.tensor(x, device=device).view(1, 3, 1, 1) for x in (CLIP_MEAN, CLIP_STD))

    @torch.inference_mode()
    def score(images: Any) -> np.ndarray:
        done = []
        for start in range(0, len(images), batch):
            chunk = images[start : start + batch]
            if isinstance(chunk, torch.Tensor):
                pixels = (F.interpolate(chunk, (size, size), mode="bicubic", antialias=True).clamp(0, 1) - mean) / std
            else:
                pixels = torch.stack([preprocess(Image.open(path)) for path in chunk]).to(device)
            image = F.normalize(model.encode_image(pixels.to(dtype)), dim=-1)
            text = F.normalize(model.encode_text(tokenize([PROMPT]).to(device)), dim=-1)
            done.append((image @ text.T)[:, 0].float().cpu().numpy())
        return np.concatenate(done)

    return score


def imscore(name: str, weights: Path, device: str, dtype: torch.dtype, batch: int, mode: str) -> Score:
    """imscore's HPSv2: takes tensors of one size; from files they are opened with Pillow first."""
    peers.open_clip()
    from imscore.hps import model as module

    blank = _open_clip_model(name)
    with mock.patch.object(module, "create_model_and_transforms", return_value=(blank, None, None)):
        scorer = module.HPSv2()
    _read(scorer.model, weights, device, dtype)
    scorer.resize.size = config_of(name).vision.image_size

    @torch.inference_mode()
    def score(images: Any) -> np.ndarray:
        done = []
        for start in range(0, len(images), batch):
            chunk = images[start : start + batch]
            if not isinstance(chunk, torch.Tensor):
                arrays = [np.array(Image.open(path).convert("RGB")) for path in chunk]
                chunk = torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2).to(device).float() / 255
            done.append(scorer.score(chunk.to(dtype), [PROMPT] * len(chunk)).float().cpu().numpy())
        return np.concatenate(done)

    return score


CASES: dict[str, tuple[Callable[..., Score], str, frozenset[str]]] = {
    "ours, HPS v2 preprocessing": (ours, "pad", frozenset({"files", "tensors"})),
    "ours, dtype auto": (ours_as_it_comes, "pad", frozenset({"files", "tensors"})),
    "hpsv2.score 1.2.0": (hpsv2, "pad", frozenset({"files"})),
    "imscore": (imscore, "pad", frozenset({"files", "tensors"})),
    "open_clip loop, longest side": (open_clip, "pad", frozenset({"files"})),
    "ours, CLIP preprocessing": (ours, "crop", frozenset({"files", "tensors"})),
    "open_clip loop": (open_clip, "crop", frozenset({"files", "tensors"})),
}
"""name: (factory, preprocessing, sources that it takes)."""
