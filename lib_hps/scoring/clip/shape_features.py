"""Descriptors of the figure's outline that know neither its place nor its size nor how it is turned.

The figure is whatever differs from the colour of the border. Textbook descriptors of shape: the distribution of
distances from the centre (D1 of Osada et al. 2002), compactness (Cox 1927), and magnitudes of the angular Fourier
series about the centre. Shapes: N batch, S side.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_LOW, _HIGH = 0.03, 0.12  # distance from the ground's colour, levels / 255: below ground, above figure
_RADII, _MOST = 13, 2.4  # bins of distance, in radii of the disc that has the figure's area
_ORDERS = (1, 2, 3, 4, 5, 6, 8)


def describe_shape(levels: Tensor) -> Tensor:
    """(N, 24) of pictures (N, 3, S, S), float32 in 0..1."""
    figure = _find_figure(levels)
    side = figure.shape[-1]
    line = torch.arange(side, dtype=torch.float32, device=levels.device)
    y, x = line[:, None].expand(side, side), line[None].expand(side, side)
    area = figure.sum(dim=(1, 2)).clamp_min(4.0)
    centre_x, centre_y = ((figure * place).sum(dim=(1, 2)) / area for place in (x, y))
    right, down = x - centre_x[:, None, None], y - centre_y[:, None, None]
    distance = (right.square() + down.square()).sqrt() / (area / torch.pi).sqrt()[:, None, None]
    share = figure / area[:, None, None]
    return torch.cat([_distances(distance, share), _compactness(figure, area), _angles(right, down, share)], dim=1)


def from_ground(levels: Tensor) -> Tensor:
    """(N, S, S) of (N, 3, S, S): how far each place is from the border's median colour, in its worst channel."""
    border = torch.cat([levels[:, :, 0], levels[:, :, -1], levels[:, :, :, 0], levels[:, :, :, -1]], dim=2)
    ground = border.median(dim=2).values[:, :, None, None]
    return (levels - ground).abs().amax(dim=1)


def soft_figure(levels: Tensor) -> Tensor:
    """(N, S, S) of (N, 3, S, S): 0 where it is the ground, towards 1 the more it differs."""
    return 1 - torch.exp(-from_ground(levels) / 0.055)


def _find_figure(levels: Tensor) -> Tensor:
    """(N, S, S) in 0..1 of pictures (N, 3, S, S): 0 where the border's colour is, 1 on the figure."""
    return ((from_ground(levels) - _LOW) / (_HIGH - _LOW)).clamp(0, 1)


def _distances(distance: Tensor, share: Tensor) -> Tensor:
    """(N, 14): the figure's share in triangular bins of the distance from its centre, and the distance's spread."""
    width = _MOST / (_RADII - 1)
    place = (distance / width).clamp(max=_RADII - 1)
    bins = [((1 - (place - number).abs()).clamp_min(0) * share).sum(dim=(1, 2)) for number in range(_RADII)]
    mean = (distance * share).sum(dim=(1, 2))
    spread = ((distance - mean[:, None, None]).square() * share).sum(dim=(1, 2)).sqrt()
    return torch.stack([*bins, spread], dim=1)


def _compactness(figure: Tensor, area: Tensor) -> Tensor:
    """(N, 3): 4 pi area / outline^2 (1 for a disc), its root, and the share of the frame."""
    padded = F.pad(figure[:, None], (1, 1, 1, 1))[:, 0]
    right, down = padded[:, :-1, 1:] - padded[:, :-1, :-1], padded[:, 1:, :-1] - padded[:, :-1, :-1]
    outline = (right.square() + down.square()).sqrt().sum(dim=(1, 2)).clamp_min(1.0)
    compact = (4 * torch.pi * area / outline.square()).clamp(max=2.0)
    return torch.stack([compact, compact.sqrt(), area / figure[0].numel()], dim=1)


def _angles(right: Tensor, down: Tensor, share: Tensor) -> Tensor:
    """(N, 7): how much the figure's mass varies around its centre, at so many periods a turn."""
    angle = torch.atan2(down, right)
    found = []
    for order in _ORDERS:
        along, across = (
            (share * turn).sum(dim=(1, 2)) for turn in (torch.cos(order * angle), torch.sin(order * angle))
        )
        found.append((along.square() + across.square()).sqrt())
    return torch.stack(found, dim=1)
