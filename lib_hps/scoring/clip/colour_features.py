"""Which colours a picture has: moments, histograms and palettes (Datta et al. 2006; Swain and Ballard 1991).

An artist is known by the very colours that she mixes: the finer a palette, the more it says of a style, and the more
choices it takes to read it. So there are a coarse one of the whole picture and two finer ones of the figure, which is
whatever differs from the colour of the border. Shapes: N batch, S side.
"""

from __future__ import annotations

import torch
from torch import Tensor

_PALETTE, _TONES, _SHADES = 7, 16, 40  # levels of red, green and blue
_BUCKETS = 8191  # that share the 64,000 shades: a prime, so that those of one bucket are far apart


def describe_colours(levels: Tensor, figure: Tensor) -> dict[str, Tensor]:
    """Descriptors of pictures.

    Args:
        levels: (N, 3, S, S), float32 in 0..1, red, green, blue.
        figure: (N, S, S) of `shape_features.soft_figure`.

    Returns:
        "colours" (N, 42), "palette" (N, 343) of the picture; "tones" (N, 4096) and "shades" (N, 8191) of the figure.
    """
    figure = figure.flatten(1)
    whole = torch.ones_like(figure)
    return {
        "colours": _colours(levels),
        "palette": _shares(_cells(levels, _PALETTE), whole, _PALETTE**3),
        "tones": _shares(_cells(levels, _TONES), figure, _TONES**3),
        "shades": _shares(_cells(levels, _SHADES) % _BUCKETS, figure, _BUCKETS),
    }


def _colours(levels: Tensor) -> Tensor:
    """Means, spreads and histograms of light, red against blue, green against both, and saturation."""
    red, green, blue = levels.unbind(dim=1)
    opponents = torch.stack([levels.mean(dim=1), (red - blue) / 2, (2 * green - red - blue) / 4], dim=1)  # (N, 3, S, S)
    saturation = levels.amax(dim=1) - levels.amin(dim=1)
    moments = [opponents.mean(dim=(2, 3)), opponents.std(dim=(2, 3))]
    moments += [saturation.mean(dim=(1, 2))[:, None], saturation.std(dim=(1, 2))[:, None]]
    ranges = ((0.0, 1.0), (-0.4, 0.4), (-0.27, 0.27))
    histograms = [_soft_histogram(opponents[:, i], low, high, 9) for i, (low, high) in enumerate(ranges)]
    return torch.cat([*moments, *histograms, _soft_histogram(saturation, 0.0, 0.8, 7)], dim=1)


def _soft_histogram(values: Tensor, low: float, high: float, bins: int) -> Tensor:
    """Square roots of triangular bins, (N, bins), of values (N, ...)."""
    centres = torch.linspace(low, high, bins, device=values.device)
    width = (high - low) / (bins - 1)
    shares = [(1 - (values.flatten(1) - centre).abs() / width).clamp_min(0).mean(dim=1) for centre in centres]
    return torch.stack(shares, dim=1).sqrt()


def _cells(levels: Tensor, count: int) -> Tensor:
    """(N, S * S): which of count x count x count colours each place has."""
    cell = (levels * count).clamp(0, count - 1e-4).long()
    return ((cell[:, 0] * count + cell[:, 1]) * count + cell[:, 2]).flatten(1)


def _shares(cells: Tensor, weights: Tensor, count: int) -> Tensor:
    """Square roots of the shares of the weights (N, S * S) in each cell, (N, count); a figure is at least one place."""
    sums = weights.new_zeros(len(weights), count).scatter_add_(1, cells, weights)
    return (sums / weights.sum(dim=1, keepdim=True).clamp_min(1)).sqrt()
