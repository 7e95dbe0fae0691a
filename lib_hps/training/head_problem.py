"""The numbers behind `head_fit`: the likeliest weights, the likeliest variances, and what is lost on held-out choices.

Variances by MacKay (1992, "Bayesian interpolation", section 4), with Laplace's approximation. Shapes: N examples, D
columns, C choices.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from lib_hps.training.head_answers import Answers
from lib_hps.training.head_blocks import Block, Table

_FADED = 2e-3  # of the largest variance: below, a block is gone
_MOST_STEPS = 50  # of Newton's, mostly five
_DESCENT, _SMALLEST = 1e-4, 1e-6  # share of the promised descent that a step must keep; of a step

Note = Callable[[dict[str, float]], object]
"""Gets the figures of every step of a fit."""


class Problem:
    """Softmaxes of rows over columns @ weights, with a normal prior on the weights of each block.

    The first block is the start model's score alone, over its own spread, with a prior mean that keeps it as it is.
    """

    def __init__(self, blocks: Mapping[str, Block], table: Table) -> None:
        columns = [block.columns for block in blocks.values()]
        self.sizes = [each.shape[1] for each in columns]
        self.spread = table.cosine.std().clamp_min(1e-6)
        self._x = torch.cat([(table.cosine / self.spread)[:, None], *columns], dim=1)  # (N, D)
        self._block = torch.repeat_interleave(torch.arange(len(columns) + 1), torch.tensor([1, *self.sizes]))

    def solve(self, known: Answers, variances: Tensor, note: Note = lambda _: None) -> Tensor:
        """The likeliest weights (D,) under the prior, by Newton's method."""
        return self._solved(known, variances, None, _MOST_STEPS, note)[0]

    def held_out(self, known: Answers, folds: Tensor, variances: Tensor, *, rounds_anew: int = 0) -> Tensor:
        """Scores of the examples of `known.apart()`, each under what the other folds taught.

        With `rounds_anew` each fold first corrects the variances by the other folds' answers, in so many rounds.
        """
        scores = torch.zeros(known.examples.shape)
        for fold in folds[known.choice].unique().tolist():
            others, there = known.of(folds != fold), folds[known.choice] == fold
            weights = self.solve(others, self.likeliest(others, variances, rounds_anew))
            scores[there] = (self._x @ weights)[known.examples[there]]
        return scores.flatten()

    def begin(self) -> Tensor:
        """Variances (blocks + 1,) before anything is known."""
        return torch.cat([self.spread.square()[None], torch.ones(len(self.sizes))])

    def likeliest(self, known: Answers, variances: Tensor, rounds: int, note: Note = lambda _: None) -> Tensor:
        """Prior variances, (blocks + 1,): MacKay's rule until they hardly change; 0 stays 0."""
        count = len(variances)
        weights: Tensor | None = None
        for number in range(rounds):
            weights, factor, kept = self._solved(known, variances, weights, 4 if number == 0 else 2)
            note({"loss": float(known.loss(self._x @ weights)), "blocks": float((variances > 0).sum()) - 1})
            uncertain = torch.cholesky_inverse(factor).diagonal() / variances[self._block][kept]  # 1: nothing is known
            sums = torch.zeros(2, count).index_add_(
                1, self._block[kept], torch.stack([weights[kept].square(), 1 - uncertain])
            )
            new = variances * (sums[0] / variances.clamp_min(1e-9) / sums[1].clamp_min(1e-6)).clamp(1e-3, 1e3)
            single = sums.new_tensor([True, *(size == 1 for size in self.sizes)], dtype=torch.bool)
            new[single] = variances[single]  # one weight says nothing of a spread
            new[1:][new[1:] < _FADED * new[1:].max()] = 0
            change = (new.clamp_min(1e-9) / variances.clamp_min(1e-9)).log()[new > 0].abs().max()
            variances = new
            if change < 0.1:
                break
        return variances

    def _solved(
        self, known: Answers, variances: Tensor, begin: Tensor | None, rounds: int, note: Note = lambda _: None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Weights (D,), the Cholesky factor of their precision, and which of the D have any variance."""
        kept = variances[self._block] > 0
        precision = 1 / variances[self._block][kept]
        x = self._x[:, kept]
        mean = torch.zeros(x.shape[1])
        mean[0] = self.spread
        choices = len(known.choice.unique())

        def cost(w: Tensor) -> float:
            return choices * float(known.loss(x @ w)) + 0.5 * float((precision * (w - mean).square()).sum())

        # where the start model is sure and wrong, its softmaxes are flat: without it the way is short
        weights = min((mean, torch.zeros_like(mean)), key=cost) if begin is None else begin[kept]
        before = cost(weights)
        for _ in range(rounds):
            gradient, curvature = known.derivatives(x, weights)
            gradient += precision * (weights - mean)
            curvature.diagonal().add_(precision)
            factor = torch.linalg.cholesky(curvature)
            step = torch.cholesky_solve(gradient[:, None], factor)[:, 0]
            size, promised = 1.0, float(gradient @ step)  # Armijo's rule (Nocedal and Wright 2006, section 3.1)
            while (after := cost(weights - size * step)) > before - _DESCENT * size * promised and size > _SMALLEST:
                size /= 2
            if size <= _SMALLEST:
                break  # rounding: there is no lower place that way
            weights = weights - size * step
            note({"loss": float(known.loss(x @ weights)), "loss with prior": after / choices})
            if promised < 0.05:
                break
            before = after
        full = torch.zeros(len(kept))
        full[kept] = weights
        return full, factor, kept
