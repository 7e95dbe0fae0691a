"""Weighs what the head and the networks say of choices that neither learned from ("stacked regressions", Breiman 1996).

In one fit the head's many columns explain the choices that they are fitted to, some of it by chance, and take that from
the networks, whose opinion had no part in those choices. Shapes: N examples, C choices, K columns.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lib_hps.training.head_answers import Answers

_STEPS, _LEAST_CHANGE = 50, 1e-4
_PRECISION = 0.1  # of the weights' prior, around 0: as good as none, but a taste without any doubt has an end


def stack(known: Answers, columns: Tensor) -> Tensor:
    """The likeliest weights (K,) of columns (N, K), none below 0: what speaks against itself says nothing."""
    kept = torch.ones(columns.shape[1], dtype=torch.bool)
    while kept.any():
        weights = torch.zeros(len(kept))
        weights[kept] = _likeliest(known, columns[:, kept])
        if (weights >= 0).all():
            return weights
        kept[weights.argmin()] = False
    return torch.zeros(len(kept))


def stacked_apart(known: Answers, folds: Tensor, columns: Tensor) -> Tensor:
    """The scores (N,) of each fold's examples by the weights that the others give.

    What is said of the others' examples may have been learned from this fold's answers, of which a few weights carry
    little.

    Args:
        known: over examples of one choice each (`Answers.apart`).
        folds: (C,) fold of each choice.
        columns: (N, K).
    """
    scores = torch.zeros(len(columns))
    for fold in folds.unique().tolist():
        mine = known.of(folds == fold).examples.flatten()
        scores[mine] = columns[mine] @ stack(known.of(folds != fold), columns)
    return scores


def _likeliest(known: Answers, columns: Tensor) -> Tensor:
    weights = torch.zeros(columns.shape[1])
    for _ in range(_STEPS):
        gradient, curvature = known.derivatives(columns, weights)
        curvature.diagonal().add_(_PRECISION)
        step = torch.linalg.solve(curvature, gradient + _PRECISION * weights)
        weights = weights - step.clamp(-1, 1)  # from 0 upwards the way is long, and its beginning flat
        if step.abs().max() < _LEAST_CHANGE:
            break
    return weights
