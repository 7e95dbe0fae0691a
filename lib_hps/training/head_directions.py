"""Directions in a space of features: the leading ones of many examples, of a mean square norm of 1 together.

Shapes: N examples, F features, R directions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Affine:
    """x (N, F) -> x @ matrix + offset, (N, R)."""

    matrix: Tensor
    offset: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """Put x there."""
        return x @ self.matrix + self.offset

    def then(self, other: Affine) -> Affine:
        """This one and another behind it, as one."""
        return Affine(self.matrix @ other.matrix, other(self.offset))


def centred(mean: Tensor, matrix: Tensor) -> Affine:
    """x -> (x - mean) @ matrix."""
    return Affine(matrix, -mean @ matrix)


def leading_directions(x: Tensor, count: int, *, whitening: float = 0.0, as_they_are: bool = False) -> Affine:
    """The `count` directions in which standardised features vary most, by random projections with a fixed seed.

    Args:
        x: (N, F).
        count: at most that many.
        whitening: 0 keeps their spreads, 1 makes them equal.
        as_they_are: the features' own spreads count.
    """
    mean, spread = x.mean(dim=0), x.std(dim=0).clamp_min(1e-4)
    spread = torch.ones_like(spread) if as_they_are else spread
    z = (x - mean) / spread
    generator = torch.Generator().manual_seed(0)
    wanted = min(count, *z.shape)
    guess = torch.randn(z.shape[1], min(wanted + 8, *z.shape), generator=generator)
    for _ in range(2):
        guess = torch.linalg.qr(z.T @ (z @ guess))[0]
    _, values, turned = torch.linalg.svd(z @ guess, full_matrices=False)
    values = (values[:wanted] / len(z) ** 0.5).clamp_min(1e-3)
    matrix = guess @ turned[:wanted].T * values**-whitening
    norm = (z @ matrix).square().sum(dim=1).mean().sqrt().clamp_min(1e-6)
    return centred(mean, matrix / spread[:, None] / norm)


def side_by_side(parts: Sequence[Affine]) -> Affine:
    """Of one space, the directions of all."""
    return Affine(torch.cat([part.matrix for part in parts], dim=1), torch.cat([part.offset for part in parts]))


def stacked(parts: Sequence[Affine]) -> Affine:
    """Of several spaces, whose features stand one behind the other."""
    return Affine(torch.block_diag(*(part.matrix for part in parts)), torch.cat([part.offset for part in parts]))
