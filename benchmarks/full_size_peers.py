"""The public implementations at full size with random weights, for benchmarks/parity.py: pixels, features, score."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import peers
import torch
from PIL import Image

from lib_hps.scoring.clip.tokenizer import Tokenizer

Pixels = Callable[[Image.Image], Any]

LOGIT_SCALE = 4.6052  # exp of it is 100, where all published CLIPs have ended
VIT_H = {"image_size": 224, "layers": 32, "width": 1280, "head_width": 80, "patch_size": 14}
VIT_H_TEXT = {"context_length": 77, "vocab_size": 49408, "width": 1024, "heads": 16, "layers": 24}


@dataclass
class Peer:
    """One implementation, with what its users call: features, and the score from the picture."""

    model: Any
    save: Callable[[Path], Path]
    image_features: Callable[[Any], Any]
    text_features: Callable[[Any], Any]
    preprocess: Callable[[Image.Image], Any]
    score: Callable[[list[Image.Image], str, Path], Any]


def shake(model: Any) -> Any:
    """Random weights that no initialisation leaves at zero or one; the published logit_scale."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter += 0.05 * torch.randn(parameter.shape, generator=generator)
        model.logit_scale.fill_(LOGIT_SCALE)
    return model.eval()


def cosines(images: Any, texts: Any) -> Any:
    return torch.nn.functional.normalize(images, dim=-1) @ torch.nn.functional.normalize(texts, dim=-1).T


def save_state(model: Any) -> Callable[[Path], Path]:
    def save(folder: Path) -> Path:
        path = folder / "weights.pt"
        torch.save({"state_dict": model.state_dict(), "epoch": 1}, path)
        return path

    return save


def openai_pixels() -> Pixels:
    """clip.clip._transform, whose module needs pkg_resources."""
    peers.open_clip()  # makes torchvision importable
    from torchvision import transforms as t

    mean, std = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
    bicubic = t.InterpolationMode.BICUBIC
    return t.Compose([t.Resize(224, bicubic), t.CenterCrop(224), t.ToTensor(), t.Normalize(mean, std)])


def hpsv2_pixels() -> Pixels:
    """What hpsv2.img_score builds for itself."""
    peers.hpsv2()
    from hpsv2.src.open_clip.transform import image_transform

    return image_transform(224, is_train=False, resize_longest_max=True)


def open_clip_pixels() -> Pixels:
    """open_clip's transform for evaluation."""
    return peers.open_clip().image_transform(224, is_train=False)


def transformers_pixels() -> Pixels:
    """CLIPImageProcessor on PIL: version 5 calls so what it was before, and gives its name to one on torchvision."""
    package = peers.transformers()
    processor = getattr(package, "CLIPImageProcessorPil", package.CLIPImageProcessor)()
    return lambda image: torch.as_tensor(np.array(processor(images=image, return_tensors="np")["pixel_values"][0]))


def openai() -> Peer:
    clip = peers.openai_clip("model")
    tokenizer = peers.openai_clip("simple_tokenizer").SimpleTokenizer()
    preprocess = openai_pixels()
    model = shake(clip.CLIP(768, 224, 24, 1024, 14, 77, 49408, 768, 12, 12).float())

    def score(images: list[Image.Image], prompt: str, _: Path) -> Any:
        ids = [49406, *tokenizer.encode(prompt)[:75], 49407]
        tokens = torch.tensor([ids + [0] * (77 - len(ids))])
        return cosines(model.encode_image(torch.stack([preprocess(i) for i in images])), model.encode_text(tokens))[
            :, 0
        ]

    return Peer(model, save_state(model), model.encode_image, model.encode_text, preprocess, score)


def hpsv2() -> Peer:
    peers.hpsv2()
    from hpsv2 import img_score
    from hpsv2.src.open_clip.model import CLIP

    model = shake(CLIP(1024, VIT_H, VIT_H_TEXT, output_dict=True))
    preprocess = hpsv2_pixels()

    real_load = torch.load
    ready = {"model": model, "preprocess_val": preprocess}

    def score(images: list[Image.Image], prompt: str, path: Path) -> Any:
        with (
            mock.patch.object(img_score, "model_dict", ready),
            mock.patch.object(img_score, "device", "cpu"),
            # mapped, or the process would hold the weights three times
            mock.patch("torch.load", lambda *args, **kwargs: real_load(*args, **kwargs, mmap=True)),
        ):
            return torch.tensor(np.array(img_score.score(images, prompt, cp=str(path))))

    return Peer(model, save_state(model), model.encode_image, model.encode_text, preprocess, score)


def open_clip() -> Peer:
    package = peers.open_clip()
    model = shake(package.create_model("ViT-H-14"))
    preprocess = open_clip_pixels()
    tokenizer = package.get_tokenizer("ViT-H-14")

    def score(images: list[Image.Image], prompt: str, _: Path) -> Any:
        image = model.encode_image(torch.stack([preprocess(i) for i in images]))
        return cosines(image, model.encode_text(tokenizer([prompt])))[:, 0]

    return Peer(model, save_state(model), model.encode_image, model.encode_text, preprocess, score)


def transformers() -> Peer:
    package = peers.transformers()
    text = {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096}
    vision = {"hidden_size": 1280, "num_hidden_layers": 32, "num_attention_heads": 16, "intermediate_size": 5120}
    shared = {"hidden_act": "gelu", "projection_dim": 1024}
    config = package.CLIPConfig(
        text_config={**text, **shared, "eos_token_id": 49407},
        vision_config={**vision, **shared, "patch_size": 14},
        projection_dim=1024,
    )
    model = shake(package.CLIPModel(config))
    preprocess = transformers_pixels()
    tokenizer = Tokenizer(cleaning="transformers")  # equality with transformers' own: tests/contracts/test_peers.py

    def image_features(pixels: Any) -> Any:
        return peers.transformers_features(model.get_image_features(pixel_values=pixels))

    def text_features(tokens: Any) -> Any:
        return peers.transformers_features(model.get_text_features(input_ids=tokens))

    def save(folder: Path) -> Path:
        model.save_pretrained(folder)
        return folder / "model.safetensors"

    def score(images: list[Image.Image], prompt: str, _: Path) -> Any:
        image = image_features(torch.stack([preprocess(i) for i in images]))
        return model.logit_scale.exp() * cosines(image, text_features(tokenizer([prompt])))[:, 0]

    return Peer(model, save, image_features, text_features, preprocess, score)
