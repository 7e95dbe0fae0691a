"""Fits a `TasteHead`: convex, with one prior variance for each block of columns; seconds for 1,000 choices.

The variances are those that make the answers most likely (MacKay 1992, with Laplace's approximation), so blocks that a
taste has no use for fade away. Then whole families of blocks are dropped where that lowers the loss in cross-validation
over prompts: what is learned of one prompt must hold for others. The start model's own score stays, with a weight that
begins at 1, so that few choices change little.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from lib_hps.scoring.clip.head import TasteHead
from lib_hps.scoring.clip.head_features import THUMBNAIL
from lib_hps.training.head_answers import Answers
from lib_hps.training.head_basis import make_blocks
from lib_hps.training.head_blocks import Block, Table, head_of
from lib_hps.training.head_network import learn_networks

FOLDS = 3
_ROUNDS = 10  # of the variances
_MOST = 600  # choices by which variances are found and families judged
_FADED = 2e-3  # of the largest variance: below, a block is gone


@dataclass(frozen=True)
class Fitted:
    """A head, and what decided it.

    Attributes:
        blocks: prior variance of each block that is left.
        start_loss: negative log-likelihood of the start model, a mean over choices.
        loss: of the head, in cross-validation.
    """

    head: TasteHead
    blocks: dict[str, float]
    start_loss: float
    loss: float


Note = Callable[[dict[str, float]], object]
"""Gets the figures of every step of a fit."""


def fit_head(
    table: Table, known: Answers, folds: Tensor, note: Note = lambda _: None, *, device: str | torch.device = "cpu"
) -> Fitted:
    """Fit a head.

    Args:
        table: what the choices' pictures and prompts look like.
        known: the answers.
        folds: (C,) fold of each choice; choices of a prompt share one.
        note: for each round of the variances "loss" (of the choices that it looks at) and "blocks" that are left, for
            each family judged the "held-out loss" without it, for each of Newton's last steps "loss" of all.
        device: where networks learn; all else is small.
    """
    networks = learn_networks(table.described[THUMBNAIL], known, folds, torch.device(device), note)
    blocks = make_blocks(table, known.wins(len(table.texts)), known.folds(folds, len(table.texts)), networks)
    problem = _Problem(blocks, table, note)
    few = known if len(folds) <= _MOST else known.of(_first(len(folds), _MOST))
    variances = problem.likeliest(few)
    nothing = torch.cat([variances[:1], torch.zeros(len(variances) - 1)])
    start, start_hits = problem.held_out(few, folds, nothing)
    note({"held-out loss of the start model": float(start.mean())})
    variances, losses, hits = _without_idle_families(problem, few, folds, variances, blocks)
    # no more than chance may give, or surer but less often right: the start model stays as it is
    if not _is_beyond_chance(start - losses) or _is_beyond_chance(start_hits - hits):
        variances, losses = nothing, start
    weights = problem.solve(known, variances, note=note)
    left = {name: float(v) for name, v in zip(blocks, variances[1:], strict=True) if v > 0}
    head = TasteHead(head_of(blocks, weights[0] / problem.spread, weights[1:].split(problem.sizes)))
    return Fitted(head, left, float(known.loss(table.cosine)), float(losses.mean()))


def _is_beyond_chance(gain: Tensor) -> bool:
    """Whether the mean of (C,) is more than its standard error."""
    return bool(gain.mean() > gain.std() / len(gain) ** 0.5)


def _first(count: int, most: int) -> Tensor:
    keep = torch.zeros(count, dtype=torch.bool)
    keep[torch.randperm(count, generator=torch.Generator().manual_seed(0))[:most]] = True
    return keep


def _without_idle_families(
    problem: _Problem, known: Answers, folds: Tensor, variances: Tensor, blocks: Mapping[str, Block]
) -> tuple[Tensor, Tensor, Tensor]:
    """One family after the other is dropped where the loss falls without it."""
    family = ["start", *(block.family for block in blocks.values())]
    losses, hits = problem.held_out(known, folds, variances)
    problem.note({"held-out loss": float(losses.mean())})
    for gone in ("network", "embedding", "towers", "waves", "words", "naming", "tags", "prompt", "pixels"):
        kept = variances * torch.tensor([float(name != gone) for name in family])
        if not torch.equal(kept, variances):
            without, hits_without = problem.held_out(known, folds, kept)
            problem.note({f"held-out loss without {gone}": float(without.mean())})
            if without.mean() <= losses.mean():
                losses, hits, variances = without, hits_without, kept
    return variances, losses, hits


class _Problem:
    """Softmaxes of rows over columns @ weights, with a normal prior on the weights of each block.

    The first block is the start model's score alone, over its own spread, with a prior mean that keeps it as it is.
    """

    def __init__(self, blocks: Mapping[str, Block], table: Table, note: Note) -> None:
        self.note = note
        columns = [block.columns for block in blocks.values()]
        self.sizes = [each.shape[1] for each in columns]
        self.spread = table.cosine.std().clamp_min(1e-6)
        self._x = torch.cat([(table.cosine / self.spread)[:, None], *columns], dim=1)  # (N, D)
        self._block = torch.repeat_interleave(torch.arange(len(columns) + 1), torch.tensor([1, *self.sizes]))

    def solve(self, known: Answers, variances: Tensor, rounds: int = 8, note: Note = lambda _: None) -> Tensor:
        """The likeliest weights (D,) under the prior, by Newton's method."""
        return self._solved(known, variances, None, rounds, note)[0]

    def held_out(self, known: Answers, folds: Tensor, variances: Tensor) -> tuple[Tensor, Tensor]:
        """Loss of each choice under what the other folds taught, fold by fold; and which rows were right, 0 or 1."""
        losses, hits = [], []
        for fold in folds.unique().tolist():
            there = known.of(folds == fold)
            if len(there.choice):
                scores = self._x @ self.solve(known.of(folds != fold), variances, rounds=5)
                losses.append(there.losses(scores))
                hits.append(there.hits(scores))
        return torch.cat(losses), torch.cat(hits)

    def likeliest(self, known: Answers) -> Tensor:
        """Prior variances, (blocks + 1,): MacKay's rule until they hardly change."""
        count = len(self.sizes) + 1
        variances = torch.ones(count)
        variances[0] = self.spread**2
        weights: Tensor | None = None
        for number in range(_ROUNDS):
            weights, factor, kept = self._solved(known, variances, weights, 4 if number == 0 else 2)
            self.note({"loss": float(known.loss(self._x @ weights)), "blocks": float((variances > 0).sum()) - 1})
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
        weights = mean.clone() if begin is None else begin[kept]
        choices = len(known.choice.unique())

        def cost(w: Tensor) -> float:
            return choices * float(known.loss(x @ w)) + 0.5 * float((precision * (w - mean).square()).sum())

        before = cost(weights)
        for _ in range(rounds):
            gradient, curvature = known.derivatives(x, weights)
            curvature.diagonal().add_(precision)
            factor = torch.linalg.cholesky(curvature)
            step = torch.cholesky_solve((gradient + precision * (weights - mean))[:, None], factor)[:, 0]
            size = 1.0
            while (after := cost(weights - size * step)) > before and size > 1 / 64:
                size /= 2
            weights = weights - size * step
            note({"loss": float(known.loss(x @ weights)), "loss with prior": after / choices})
            if before - after < 0.05:
                break
            before = after
        full = torch.zeros(len(kept))
        full[kept] = weights
        return full, factor, kept
