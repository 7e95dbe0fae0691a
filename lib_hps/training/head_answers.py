"""Rankings as rows of softmaxes: what a head is fitted to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from lib_hps.ranking import Ranking
from lib_hps.training.losses import PreferenceLoss, tiers_of

_ROWS = 512  # softmaxes at once


@dataclass(frozen=True)
class Answers:
    """Choices over a table of examples (picture and prompt), as equal rows: R rows of up to m examples.

    A row is a softmax over its examples against `target` (R, m). Plackett-Luce has a row for each place of the order,
    the pairwise loss one for each edge; see `losses.preference_loss`, which this equals.
    """

    examples: torch.Tensor  # (R, m), int64
    mask: torch.Tensor  # (R, m), bool
    target: torch.Tensor  # (R, m)
    weight: torch.Tensor  # (R,)
    choice: torch.Tensor  # (R,), number of the choice

    def of(self, choices: torch.Tensor) -> Answers:
        """The rows of the choices for which `choices` (C,) is True."""
        keep = choices[self.choice]
        return Answers(*(part[keep] for part in (self.examples, self.mask, self.target, self.weight, self.choice)))

    def wins(self, count: int) -> torch.Tensor:
        """Of each of `count` examples how often it was among the best of a row, (count,)."""
        won = (self.target * self.weight[:, None]).flatten()
        return torch.zeros(count).index_add(0, self.examples.flatten(), won)

    def folds(self, folds: torch.Tensor, count: int) -> torch.Tensor:
        """Of each of `count` examples the fold of its choices, (count,), of those of all choices (C,)."""
        of_rows = folds[self.choice][:, None].expand_as(self.examples)
        found = torch.zeros(count, dtype=folds.dtype)
        found[self.examples[self.mask]] = of_rows[self.mask]
        return found

    def apart(self) -> Answers:
        """The same rows over examples of their own, R * m: what is said of a picture may differ from row to row."""
        return replace(self, examples=torch.arange(self.examples.numel()).view_as(self.examples))

    def losses(self, scores: torch.Tensor) -> torch.Tensor:
        """Of each choice (C,), in the order of their numbers, of scores (examples,)."""
        rows = scores[self.examples].masked_fill(~self.mask, -torch.inf)
        costs = rows.logsumexp(dim=1) - (scores[self.examples] * self.target).sum(dim=1)
        numbers, place = self.choice.unique(return_inverse=True)
        return torch.zeros(len(numbers), dtype=costs.dtype).index_add(0, place, costs * self.weight)

    def hits(self, scores: torch.Tensor) -> torch.Tensor:
        """Of each row (R,) whether its highest score is one of the best, as 0 or 1."""
        rows = scores[self.examples].masked_fill(~self.mask, -torch.inf)
        return (self.target.gather(1, rows.argmax(dim=1, keepdim=True))[:, 0] > 0).float()

    def loss(self, scores: torch.Tensor) -> torch.Tensor:
        """Mean over choices, of scores (examples,)."""
        return self.losses(scores).mean()

    def derivatives(self, x: torch.Tensor, weights: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Gradient (D,) and curvature (D, D) of the summed loss, of scores x (examples, D) @ weights (D,)."""
        scores = x @ weights
        gradient, curvature = torch.zeros(x.shape[1]), torch.zeros(x.shape[1], x.shape[1])
        for first in range(0, len(self.choice), _ROWS):
            part = slice(first, first + _ROWS)
            rows, weight = self.examples[part], self.weight[part, None]
            share = scores[rows].masked_fill(~self.mask[part], -torch.inf).softmax(dim=1)  # (R, m)
            candidates = x[rows]  # (R, m, D)
            gradient += torch.einsum("rm,rmd->d", weight * (share - self.target[part]), candidates)
            centred = candidates - torch.einsum("rm,rmd->rd", share, candidates)[:, None]
            scaled = (centred * (weight * share).sqrt()[..., None]).flatten(0, 1)
            curvature += scaled.T @ scaled
        return gradient, curvature


def answers(rankings: Sequence[Ranking], places: Sequence[Sequence[int]], kind: PreferenceLoss) -> Answers:
    """Rankings whose candidates are the examples at `places`."""
    rows: list[tuple[list[int], list[bool], float, int]] = []  # examples, which are the best, weight, choice
    for number, (ranking, at) in enumerate(zip(rankings, places, strict=True)):
        for left, tier, weight in _rows_of(ranking, kind):
            rows.append(([at[i] for i in left], [i in tier for i in left], weight, number))
    width = max(len(left) for left, *_ in rows)
    examples, target = torch.zeros(len(rows), width, dtype=torch.long), torch.zeros(len(rows), width)
    mask = torch.zeros(len(rows), width, dtype=torch.bool)
    for row, (left, best, _, _) in enumerate(rows):
        examples[row, : len(left)], mask[row, : len(left)] = torch.tensor(left), True
        target[row, : len(left)] = torch.tensor(best) / sum(best)
    weights, choice = torch.tensor([each[2] for each in rows]), torch.tensor([each[3] for each in rows])
    return Answers(examples, mask, target, weights, choice)


def _rows_of(ranking: Ranking, kind: PreferenceLoss) -> list[tuple[list[int], list[int], float]]:
    if kind == "pairwise":
        return [([better, worse], [better], 1 / len(ranking.edges)) for better, worse in ranking.edges]
    if kind == "softmax":
        return [(list(range(ranking.count)), list(ranking.best()), 1.0)]
    tiers = tiers_of(ranking)
    return [([i for later in tiers[at:] for i in later], tier, 1.0) for at, tier in enumerate(tiers[:-1])]
