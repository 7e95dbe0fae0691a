"""Emoji on plain backgrounds: small random moves, so that a seed decides more than the artist's pose."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F

BACKGROUNDS: dict[str, tuple[int, int, int]] = {
    "white": (255, 255, 255),
    "pink": (255, 214, 224),
    "blue": (201, 226, 255),
    "green": (208, 240, 205),
    "yellow": (255, 243, 191),
    "purple": (226, 213, 248),
    "orange": (255, 224, 190),
    "grey": (214, 218, 222),
    "black": (38, 38, 42),
}
COLOURED_SHARE = 0.25
DAMAGES = 4  # kinds that `damage` knows


def premultiply(pictures: np.ndarray) -> torch.Tensor:
    """uint8 RGBA (N, H, W, 4) -> float premultiplied (N, 4, H, W) in 0..1."""
    rgba = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255
    return torch.cat([rgba[:, :3] * rgba[:, 3:], rgba[:, 3:]], dim=1)


def draw_backgrounds(count: int, generator: torch.Generator) -> torch.Tensor:
    """Indices (N,) into `BACKGROUNDS`: white mostly, else one of the colours."""
    coloured = torch.rand(count, generator=generator) < COLOURED_SHARE
    return torch.where(coloured, torch.randint(1, len(BACKGROUNDS), (count,), generator=generator), 0)


def compose(
    rgba: torch.Tensor,
    backgrounds: torch.Tensor,
    generator: torch.Generator,
    *,
    scale: tuple[float, float] = (0.78, 1.0),
) -> torch.Tensor:
    """Move premultiplied pictures a little and lay them on their backgrounds.

    Args:
        rgba: (N, 4, H, W), premultiplied, 0..1.
        backgrounds: (N,) indices into `BACKGROUNDS`.
        scale: range of the picture's size relative to the frame.

    Returns:
        (N, 3, H, W) in -1..1. Turned by up to 10 degrees, shifted inside the frame, mirrored half of the time.
    """
    count = len(rgba)

    def uniform(low: float, high: float) -> torch.Tensor:
        return torch.rand(count, generator=generator) * (high - low) + low

    size = uniform(*scale)
    angle = uniform(-1, 1) * math.radians(10) * (uniform(0, 1) < 0.5)
    mirror = torch.where(uniform(0, 1) < 0.5, 1.0, -1.0)
    shift = (1 - size) * 0.6
    cos, sin = torch.cos(angle) / size, torch.sin(angle) / size
    theta = torch.stack(
        [
            torch.stack([cos * mirror, -sin, uniform(-1, 1) * shift], dim=1),
            torch.stack([sin * mirror, cos, uniform(-1, 1) * shift], dim=1),
        ],
        dim=1,
    )  # (N, 2, 3)
    grid = F.affine_grid(theta, list(rgba.shape), align_corners=False)
    moved = F.grid_sample(rgba, grid, mode="bicubic", align_corners=False).clamp(0, 1)
    colours = torch.tensor(list(BACKGROUNDS.values())).float()[backgrounds] / 255  # (N, 3)
    return (moved[:, :3] + (1 - moved[:, 3:]) * colours[:, :, None, None]).clamp(0, 1) * 2 - 1


def damage(images: torch.Tensor, level: torch.Tensor, kind: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Blur, noise, warped shapes or washed-out colour, by `level` (N,) in 0..1 and `kind` (N,) in 0..3."""
    amount = level[:, None, None, None]
    soft = F.interpolate(F.avg_pool2d(images, 4), scale_factor=4, mode="bilinear")
    noise = torch.randn(images.shape, generator=generator)
    field = F.interpolate(
        torch.randn(len(images), 2, 5, 5, generator=generator), size=images.shape[-2:], mode="bicubic"
    )
    base = F.affine_grid(torch.eye(2, 3).expand(len(images), 2, 3), list(images.shape), align_corners=False)
    bent = F.grid_sample(
        images, base + 0.18 * amount * field.permute(0, 2, 3, 1), padding_mode="border", align_corners=False
    )
    grey = images.mean(dim=1, keepdim=True) * 0.6 + 0.3
    versions = [torch.lerp(images, soft, amount), images + 0.7 * amount * noise, bent, torch.lerp(images, grey, amount)]
    return torch.stack(versions)[kind, torch.arange(len(images))].clamp(-1, 1)


def move(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Mirror, shift, scale and saturate (N, 3, H, W) a little, each its own way."""
    count = len(images)

    def uniform(size: float) -> torch.Tensor:
        return (2 * torch.rand(count, generator=generator) - 1) * size

    zoom, mirror = 1 + uniform(0.1), torch.where(uniform(1) < 0, 1.0, -1.0)
    nought = torch.zeros(count)
    first = torch.stack([zoom * mirror, nought, uniform(0.08)], dim=1)
    theta = torch.stack([first, torch.stack([nought, zoom, uniform(0.08)], dim=1)], dim=1)  # (N, 2, 3)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    moved = F.grid_sample(images, grid, mode="bicubic", padding_mode="border", align_corners=False)
    strength = 1 + uniform(0.1)[:, None, None, None]
    return torch.lerp(moved.mean(dim=1, keepdim=True), moved, strength).clamp(-1, 1)
