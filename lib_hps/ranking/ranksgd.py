"""The parts of ZO-RankSGD (Tang, Rybin, Chang, arXiv 2303.03751), on plain vectors.

A descent direction comes from a ranking alone: with points `x + mu xi_i`, `xi_i ~ N(0, I)`, and the edges E of the
ranking's DAG (i better than j), `g = 1/|E| * sum over (i, j) in E of (x_j - x_i) / mu`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lib_hps.errors import InputError
from lib_hps.ranking.rankings import Ranking

Array = NDArray[np.float64]


def rank_gradient(xi: Array, ranking: Ranking) -> Array:
    """The rank-based estimate, for minimisation: `x - eta * g` improves.

    In the sum over edges, point i appears (edges into it) - (edges out of it) times.

    Args:
        xi: (m, d), the perturbations divided by mu.
        ranking: of the m points.

    Returns:
        (d,), zero where the ranking says nothing.

    Raises:
        InputError: another number of points than ranks.
    """
    if len(xi) != ranking.count:
        raise InputError(f"{len(xi)} perturbations were ranked as {ranking.count} candidates. Give one for each.")
    if not ranking.edges:
        return np.zeros(xi.shape[1])
    weights = np.array(ranking.weights(), dtype=np.float64)  # out minus in
    return -(weights @ xi) / len(ranking.edges)


def line_search_steps(largest: float, count: int, shrink: float = 0.5) -> list[float]:
    """The line search's step sizes: `largest * shrink^i`, i = 0 .. count - 1."""
    return [largest * shrink**i for i in range(count)]
