"""Published CLIP architectures by open_clip's names (open_clip `model_configs/*.json`)."""

from __future__ import annotations

import re

from lib_hps.errors import InputError
from lib_hps.scoring.clip.config import ClipConfig, TextConfig, VisionConfig

# name: (embed_dim, image_size, patch_size, width, layers, head_width, mlp_width), (text width, text layers)
_VITS: dict[str, tuple[tuple[int, ...], tuple[int, int]]] = {
    "ViT-S-32": ((384, 224, 32, 384, 12, 64, 1536), (384, 12)),
    "ViT-S-16": ((384, 224, 16, 384, 12, 64, 1536), (384, 12)),
    "ViT-M-32": ((512, 224, 32, 512, 12, 64, 2048), (512, 12)),
    "ViT-M-16": ((512, 224, 16, 512, 12, 64, 2048), (512, 12)),
    "ViT-B-32": ((512, 224, 32, 768, 12, 64, 3072), (512, 12)),
    "ViT-B-32-256": ((512, 256, 32, 768, 12, 64, 3072), (512, 12)),
    "ViT-B-16": ((512, 224, 16, 768, 12, 64, 3072), (512, 12)),
    "ViT-L-14": ((768, 224, 14, 1024, 24, 64, 4096), (768, 12)),
    "ViT-L-14-336": ((768, 336, 14, 1024, 24, 64, 4096), (768, 12)),
    "ViT-H-14": ((1024, 224, 14, 1280, 32, 80, 5120), (1024, 24)),
    "ViT-H-14-378": ((1024, 378, 14, 1280, 32, 80, 5120), (1024, 24)),
    "ViT-g-14": ((1024, 224, 14, 1408, 40, 88, 6144), (1024, 24)),
    "ViT-bigG-14": ((1280, 224, 14, 1664, 48, 104, 8192), (1280, 32)),
}

# name: (embed_dim, image_size, width), layers of the four stages, text width
_RESNETS: dict[str, tuple[tuple[int, int, int], tuple[int, ...], int]] = {
    "RN50": ((1024, 224, 64), (3, 4, 6, 3), 512),
    "RN101": ((512, 224, 64), (3, 4, 23, 3), 512),
    "RN50x4": ((640, 288, 80), (4, 6, 10, 6), 640),
    "RN50x16": ((768, 384, 96), (6, 8, 18, 8), 768),
    "RN50x64": ((1024, 448, 128), (3, 15, 36, 10), 1024),
}

ARCHITECTURES = (*_VITS, *_RESNETS)
"""The names that `named_config` knows; each also with the ending "-quickgelu"."""


def _text(width: int, layers: int) -> TextConfig:
    return TextConfig(
        vocab_size=49408, context_length=77, width=width, layers=layers, heads=width // 64, mlp_width=4 * width
    )


def named_config(name: str) -> ClipConfig:
    """The configuration of a published architecture, such as "ViT-L-14-quickgelu", "ViT-H-14" or "RN50".

    Raises:
        InputError: a name that is not a plain CLIP known here.
    """
    plain = re.sub("-quickgelu$", "", name)
    quick_gelu = plain != name
    if plain in _VITS:
        (embed_dim, image_size, patch_size, width, layers, head_width, mlp_width), text = _VITS[plain]
        vision = VisionConfig(
            image_size=image_size,
            width=width,
            layers=layers,
            heads=width // head_width,
            patch_size=patch_size,
            mlp_width=mlp_width,
        )
        return ClipConfig(embed_dim=embed_dim, vision=vision, text=_text(*text), quick_gelu=quick_gelu)
    if plain in _RESNETS:
        (embed_dim, image_size, width), stages, text_width = _RESNETS[plain]
        vision = VisionConfig(kind="resnet", image_size=image_size, width=width, layers=stages, heads=width * 32 // 64)
        return ClipConfig(embed_dim=embed_dim, vision=vision, text=_text(text_width, 12), quick_gelu=quick_gelu)
    raise InputError(f"{name!r} is not a CLIP architecture known here. Known: {', '.join(ARCHITECTURES)}.")
