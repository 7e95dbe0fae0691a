"""Small convolutional networks that a head may have: they see how things are drawn, not what.

Three convolutions, mean and spread of every channel over all places, in which style lies (Huang and Belongie 2017), and
a linear layer. Several that were trained on different choices are asked together. Shapes: N batch, K networks.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

SIDE = 64
"""Of the pictures that they see, in pixels."""
_LAYERS = ((3, 32, 2), (32, 64, 2), (64, 64, 1))  # channels in and out, stride
_GROUPS = 8


def thumbnails(levels: Tensor) -> Tensor:
    """Square pictures (N, 3, S, S) as 64 x 64 averages, one behind the other: (N, 12288)."""
    return (levels if levels.shape[-1] == SIDE else F.interpolate(levels, size=(SIDE, SIDE), mode="area")).flatten(1)


def fresh(generator: torch.Generator) -> dict[str, Tensor]:
    """The parameters of a network that has learned nothing."""
    found = {}
    for number, (a, b, _) in enumerate(_LAYERS):
        bound = (9 * a) ** -0.5
        found[f"{number}.weight"] = (2 * torch.rand(b, a, 3, 3, generator=generator) - 1) * bound
        found[f"{number}.bias"] = (2 * torch.rand(b, generator=generator) - 1) * bound
        found[f"{number}.gain"], found[f"{number}.shift"] = torch.ones(b), torch.zeros(b)
    found["out"] = (2 * torch.rand(2 * b, generator=generator) - 1) * (2 * b) ** -0.5
    return found


def see(network: Mapping[str, Tensor], pictures: Tensor) -> Tensor:
    """What one network thinks of pictures (N, 3, 64, 64) or `thumbnails` (N, 12288), levels in 0..1: (N,)."""
    hidden = pictures.float().reshape(-1, 3, SIDE, SIDE) * 2 - 1
    for number, (_, _, stride) in enumerate(_LAYERS):
        weight, bias, gain, shift = (network[f"{number}.{name}"] for name in ("weight", "bias", "gain", "shift"))
        hidden = F.conv2d(hidden, weight, bias, stride=stride, padding=1)
        hidden = F.silu(F.group_norm(hidden, _GROUPS, gain, shift))
    places = hidden.flatten(2)  # (N, 64, 256)
    return torch.cat([places.mean(dim=2), places.std(dim=2)], dim=1) @ network["out"]


def see_together(networks: Mapping[str, Tensor], pictures: Tensor) -> Tensor:
    """The mean of several networks' opinions, whose parameters are stacked (K, ...): (N,)."""
    count = len(networks["out"])
    each = [see({name: stack[number] for name, stack in networks.items()}, pictures) for number in range(count)]
    return torch.stack(each).mean(dim=0)
