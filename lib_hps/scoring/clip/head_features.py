"""What a classifier's head may read of a picture: its pixels, and every layer of the image tower.

CLIP's own embedding was taught to name things; warmth, sharpness or a drawing style are plain in the pixels and in the
layers below it, and mostly gone at its end. Shapes: N batch, S side, F of a group, E embedding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from lib_hps.scoring.clip.model import VisionTransformer
from lib_hps.scoring.clip.pixel_features import describe_pixels
from lib_hps.scoring.clip.small_network import thumbnails
from lib_hps.scoring.preprocess import normalise

if TYPE_CHECKING:
    from lib_hps.scoring.clip.model import Clip
    from lib_hps.scoring.clip.resnet import ModifiedResNet
    from lib_hps.scoring.images import Preprocess

FEATURES = 6
"""Version of what `describe` gives: changes with it, so that kept features are computed again."""
OLDEST = 2
"""A head trained on this version's groups finds them unchanged today (3 added "shape", 4 "tones" and "shades", 5
"thumbnail", 6 none, but heads ask the prompt's tags)."""
THUMBNAIL = "thumbnail"
"""The group that only the small networks read."""
_MOST_LAYERS = 6


def layers_to_read(depth: int) -> tuple[int, ...]:
    """Up to six layers of a tower of `depth` blocks, evenly spaced; 0 is what enters the first block."""
    count = min(depth + 1, _MOST_LAYERS)
    return tuple(round(i * depth / max(1, count - 1)) for i in range(count))


def describe(clip: Clip, levels: Tensor, preprocess: Preprocess) -> dict[str, Tensor]:
    """The groups of features that a head may read.

    Args:
        clip: with either image tower.
        levels: (N, 3, S, S) square pictures, uint8 or float32 in 0..1.
        preprocess: the mean and deviation that the tower wants.

    Returns:
        (N, F) float32 each: those of `describe_pixels`; `thumbnails`; "patches" (of a ViT): mean and spread of the
        first projection; "layer 0", ...: of each of `layers_to_read`, or of a ResNet's stem and stages, mean and spread
        over the places and (of a ViT above the first) the class token; and "embedding", of length 1.
    """
    shares = levels.float() / 255 if levels.dtype == torch.uint8 else levels.float()
    found = {**describe_pixels(shares), THUMBNAIL: thumbnails(shares)}
    pixels = normalise(levels, preprocess, dtype=clip.dtype)
    visual = clip.visual
    layers, embedding = _read_vit(visual, pixels) if isinstance(visual, VisionTransformer) else _read(visual, pixels)
    return {**found, **layers, "embedding": F.normalize(embedding.float(), dim=-1)}


def _read_vit(visual: VisionTransformer, pixels: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    """The layers' features by name, and the tower's output."""
    patches = visual.conv1(pixels).flatten(2).transpose(1, 2)  # (N, L, D)
    found = {"patches": torch.cat(_mean_and_spread(patches), dim=1)}
    x = torch.cat([visual.class_embedding.expand(len(patches), 1, -1), patches], dim=1) + visual.positional_embedding
    x = visual.ln_pre(x)
    depth = len(visual.transformer.blocks)
    for number in range(depth + 1):
        if number:
            x = visual.transformer.blocks[number - 1](x)
        if number in layers_to_read(depth):
            parts = [*_mean_and_spread(x[:, 1:]), *([x[:, 0].float()] if number else [])]
            found[f"layer {number}"] = torch.cat(parts, dim=1)
    return found, visual.ln_post(x[:, 0]) @ visual.proj


def _read(visual: ModifiedResNet, pixels: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    """As `_read_vit`, of the stem and the stages."""
    x = visual.stem(pixels)
    found = {"layer 0": torch.cat(_mean_and_spread(x.flatten(2).transpose(1, 2)), dim=1)}
    for number, stage in enumerate(visual.stages, start=1):
        x = stage(x)
        found[f"layer {number}"] = torch.cat(_mean_and_spread(x.flatten(2).transpose(1, 2)), dim=1)
    return found, visual.attnpool(x)


def _mean_and_spread(tokens: Tensor) -> list[Tensor]:
    return [tokens.float().mean(dim=1), tokens.float().std(dim=1)]
