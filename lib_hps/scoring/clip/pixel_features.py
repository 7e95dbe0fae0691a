"""What a classifier's head reads off the pixels themselves: colours, edges, texture, and where the figure lies.

CLIP's towers were taught to name things; how colours mix, how sharp edges are and how flat surfaces look is plain in
the pixels. These are the usual descriptors of picture quality and style: colours (`colour_features`), band-pass
energies and their spread at three scales (Simoncelli 1997), uniform local binary patterns (Ojala et al. 2002),
gradients along and across the radius, and the layout and moment invariants (Hu 1962) of the figure, which is whatever
differs from the colour of the border, and its shape (`shape_features`). Shapes: N batch, S side.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

from lib_hps.scoring.clip.colour_features import describe_colours
from lib_hps.scoring.clip.shape_features import describe_shape, soft_figure

_SCALES = 3
_RINGS = (0.0, 0.35, 0.6, 0.8, 1.0, 2.0)  # radii, the frame's edge at 1
_EDGES = (0.0, 0.002, 0.005, 0.01, 0.02, 0.04, 0.07, 0.12, 0.2, 0.35, 0.6, 9.0)  # of a gradient's length, levels / 255
_GRID = 16
_NEIGHBOURS = ((-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1))


def describe_pixels(levels: Tensor) -> dict[str, Tensor]:
    """Descriptors of pictures.

    Args:
        levels: (N, 3, S, S) float32 in 0..1, red, green, blue.

    Returns:
        Those of `describe_colours`, "edges" (N, 63), "texture" (N, 72), "rings" (N, 30), "figure" (N, 51) and "shape"
        (N, 24).
    """
    scales, figure = list(_scales(levels.mean(dim=1))), soft_figure(levels)
    return {
        **describe_colours(levels, figure),
        "edges": torch.cat([part for grey in scales for part in (_edge_lengths(grey), _patterns(grey))], dim=1),
        "texture": torch.cat([_texture(grey) for grey in scales], dim=1),
        "rings": torch.cat([_rings(grey) for grey in scales], dim=1),
        "figure": _figure(figure),
        "shape": describe_shape(levels),
    }


def _scales(grey: Tensor) -> Iterator[Tensor]:
    """(N, S, S), and twice half as large."""
    for number in range(_SCALES):
        yield F.avg_pool2d(grey[:, None], 2**number)[:, 0] if number else grey


def _gradient(grey: Tensor) -> tuple[Tensor, Tensor]:
    """Central differences to the right and down, each (N, S - 2, S - 2)."""
    return (grey[:, 1:-1, 2:] - grey[:, 1:-1, :-2]) / 2, (grey[:, 2:, 1:-1] - grey[:, :-2, 1:-1]) / 2


def _edge_lengths(grey: Tensor) -> Tensor:
    """Square roots of the shares of gradients by their length, (N, 11)."""
    right, down = _gradient(grey)
    length = 2 * (right.square() + down.square()).sqrt().flatten(1)
    shares = [((length >= low) & (length < high)).float().mean(dim=1) for low, high in pairwise(_EDGES)]
    return torch.stack(shares, dim=1).sqrt()


def _patterns(grey: Tensor) -> Tensor:
    """Square roots of the shares of uniform local binary patterns by their count of brighter neighbours, (N, 10)."""
    side, centre = grey.shape[1], grey[:, 1:-1, 1:-1]
    around = [grey[:, 1 + y : side - 1 + y, 1 + x : side - 1 + x] for y, x in _NEIGHBOURS]
    brighter = torch.stack([each > centre + 0.003 for each in around], dim=1)
    turns = (brighter != brighter.roll(1, dims=1)).sum(dim=1)
    code = torch.where(turns <= 2, brighter.sum(dim=1), 9)
    return torch.stack([(code == number).float().mean(dim=(1, 2)) for number in range(10)], dim=1).sqrt()


def _texture(grey: Tensor) -> Tensor:
    """Logarithms of the energies of five band-pass filters and of four directions, (N, 24)."""
    right, down = _gradient(grey)
    laplacian = (
        4 * grey[:, 1:-1, 1:-1] - grey[:, :-2, 1:-1] - grey[:, 2:, 1:-1] - grey[:, 1:-1, :-2] - grey[:, 1:-1, 2:]
    )
    diagonal = grey[:, :-1, :-1] + grey[:, 1:, 1:] - grey[:, 1:, :-1] - grey[:, :-1, 1:]
    length = (right.square() + down.square() + 1e-9).sqrt()
    found = []
    for response in (right, down, laplacian, diagonal, length):
        size = response.abs().flatten(1)
        found += [(size.mean(dim=1) + 1e-3).log(), (size.square().mean(dim=1) + 1e-5).log()]
        found += [((size + 1e-5).sqrt().mean(dim=1) + 5e-3).log(), (size < 0.013).float().mean(dim=1)]
    twice = 2 * torch.atan2(down, right)
    for turn in (0.0, 0.25, 0.5, 0.75):
        along = torch.cos(twice - 2 * torch.pi * turn).clamp_min(0)
        found.append(((length * along).mean(dim=(1, 2)) + 1e-3).log())
    return torch.stack(found, dim=1)


def _rings(grey: Tensor) -> Tensor:
    """Logarithms of the mean gradient along and across the radius in five rings, (N, 10)."""
    right, down = _gradient(grey)
    x, y, radius = _places(right.shape[-1], grey.device)
    along = ((right * x + down * y) / (radius + 1e-3)).abs()
    across = ((right * y - down * x) / (radius + 1e-3)).abs()
    found = []
    for low, high in pairwise(_RINGS):
        ring = ((radius >= low) & (radius < high)).float()
        found += [(each * ring).sum(dim=(1, 2)) / ring.sum() for each in (along, across)]
    return (torch.stack(found, dim=1) + 2.5e-3).log()


def _figure(figure: Tensor) -> Tensor:
    """Where the figure lies: its share of places that mirroring maps onto each other, its size, place and moments."""
    cells = F.adaptive_avg_pool2d(figure[:, None], _GRID).flatten(1)  # (N, 256)
    side = torch.minimum(torch.arange(_GRID), _GRID - 1 - torch.arange(_GRID))
    low, high = torch.minimum(side[:, None], side), torch.maximum(side[:, None], side)
    kinds = (low * _GRID + high).flatten().unique(return_inverse=True)[1]  # 36 kinds of places
    share = F.one_hot(kinds).float().to(figure.device)
    x, y, _ = _places(figure.shape[-1], figure.device)
    mass = figure.sum(dim=(1, 2)) + 1.0
    centre_x, centre_y = ((figure * place).sum(dim=(1, 2)) / mass for place in (x, y))
    size = figure.mean(dim=(1, 2))
    places = torch.stack([size, size.square(), size.sqrt(), centre_x.abs(), centre_y.abs()], dim=1)
    moments = _invariants(figure, x - centre_x[:, None, None], y - centre_y[:, None, None])
    return torch.cat([cells @ (share / share.sum(dim=0)), places, moments], dim=1)


def _invariants(figure: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Size-free moments about the centre that turning does not change: of second to sixth order, (N, 10)."""
    cell = (2 / (figure.shape[-1] - 1)) ** 2
    area = figure.sum(dim=(1, 2)) * cell + 1e-3

    def moment(p: int, q: int) -> Tensor:
        return (figure * x**p * y**q).sum(dim=(1, 2)) * cell / area ** (1 + (p + q) / 2)

    m20, m02, m11 = moment(2, 0), moment(0, 2), moment(1, 1)
    m30, m03, m21, m12 = moment(3, 0), moment(0, 3), moment(2, 1), moment(1, 2)
    spread = m20 + m02
    stretch = ((m20 - m02).square() + 4 * m11.square()).sqrt()
    third = ((m30 - 3 * m12).square() + (3 * m21 - m03).square()).sqrt()
    skew = ((m30 + m12).square() + (m21 + m03).square()).sqrt()
    fourth = moment(4, 0) + 2 * moment(2, 2) + moment(0, 4)
    sixth = moment(6, 0) + 3 * moment(4, 2) + 3 * moment(2, 4) + moment(0, 6)
    found = torch.stack([spread, stretch, third, skew, fourth, sixth], dim=1).clamp(0, 50)
    return torch.cat([found, (found[:, [0, 1, 4, 5]] + 1e-3).log()], dim=1)


def _places(side: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """x, y and radius of every pixel, each (side, side); the frame's edges lie at -1 and 1."""
    line = torch.linspace(-1, 1, side, device=device)
    y, x = line[:, None].expand(side, side), line[None].expand(side, side)
    return x, y, (x.square() + y.square()).sqrt()
