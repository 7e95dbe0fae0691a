"""Fits a `TasteHead`: linear, convex, its shrinkage chosen by cross-validation over prompts; seconds for 1,000 choices.

The start model's own score stays in it with a weight of its own, so that few choices change little.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from lib_hps.ranking import Ranking
from lib_hps.scoring.clip.head import TasteHead
from lib_hps.training.losses import PreferenceLoss, tiers_of

SHRINKAGES = (10.0, 3.0, 1.0, 0.3, 0.1, 0.03, 0.01)
FOLDS = 3


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

    def loss(self, scores: torch.Tensor) -> torch.Tensor:
        """Mean over choices, of scores (examples,)."""
        rows = scores[self.examples].masked_fill(~self.mask, -torch.inf)
        costs = rows.logsumexp(dim=1) - (scores[self.examples] * self.target).sum(dim=1)
        return (costs * self.weight).sum() / len(self.choice.unique())


def answers(rankings: Sequence[Ranking], first: Sequence[int], kind: PreferenceLoss) -> Answers:
    """Rankings whose candidates are the examples from `first` on."""
    rows: list[tuple[list[int], list[int], float, int]] = []  # candidates, best ones, weight, choice
    for number, (ranking, start) in enumerate(zip(rankings, first, strict=True)):
        for left, best, weight in _rows_of(ranking, kind):
            rows.append(([start + i for i in left], [start + i for i in best], weight, number))
    width = max(len(left) for left, *_ in rows)
    examples, target = torch.zeros(len(rows), width, dtype=torch.long), torch.zeros(len(rows), width)
    mask = torch.zeros(len(rows), width, dtype=torch.bool)
    for at, (left, best, _, _) in enumerate(rows):
        examples[at, : len(left)], mask[at, : len(left)] = torch.tensor(left), True
        target[at, : len(left)] = torch.tensor([(i in best) / len(best) for i in left])
    weights, choice = torch.tensor([row[2] for row in rows]), torch.tensor([row[3] for row in rows])
    return Answers(examples, mask, target, weights, choice)


def _rows_of(ranking: Ranking, kind: PreferenceLoss) -> list[tuple[list[int], list[int], float]]:
    if kind == "pairwise":
        return [([better, worse], [better], 1 / len(ranking.edges)) for better, worse in ranking.edges]
    if kind == "softmax":
        return [(list(range(ranking.count)), list(ranking.best()), 1.0)]
    tiers = tiers_of(ranking)
    return [([i for later in tiers[at:] for i in later], tier, 1.0) for at, tier in enumerate(tiers[:-1])]


@dataclass(frozen=True)
class Fitted:
    """A head, and what decided it: negative log-likelihoods in cross-validation, of the start model and of the head."""

    head: TasteHead
    reads: str
    shrinkage: float
    start_loss: float
    loss: float


@dataclass(frozen=True)
class Table:
    """All examples: pictures (N, F) of `describe`, products (N, E), and exp(logit_scale) * cosine (N,)."""

    pictures: torch.Tensor
    products: torch.Tensor
    cosine: torch.Tensor


def fit_head(
    table: Table,
    known: Answers,
    folds: torch.Tensor,
    layers: tuple[int, ...],
    *,
    edge: int,
    progress: Callable[[], None] = lambda: None,
) -> Fitted:
    """Choose what is read and how much it is shrunk, then fit on everything.

    Args:
        folds: (C,) fold of each choice; choices of a prompt share one.
        edge: the first `edge` columns of the pictures are the first projection alone, CLIP's view of the plain pixels.
        progress: called after each of `candidates()` fits.
    """
    mean, spread = table.pictures.mean(dim=0), table.pictures.std(dim=0).clamp_min(1e-4)
    product_spread = table.products.std(dim=0).clamp_min(1e-4)
    embedding = table.products.shape[1]
    x = torch.cat([(table.pictures - mean) / spread, table.products / product_spread], dim=1)  # (N, F + E)
    plain = torch.zeros(x.shape[1], dtype=torch.bool)
    plain[:edge], plain[-2 * embedding :] = True, True  # and the embedding and its products
    found: list[tuple[float, str, float]] = []
    nothing = torch.zeros_like(plain)
    for reads, columns in (("start", nothing), ("plain", plain), ("all", ~nothing)):
        for shrinkage in SHRINKAGES if reads != "start" else SHRINKAGES[:1]:
            part, losses = x[:, columns], []
            for fold in folds.unique().tolist():
                weights = _solved(part, table.cosine, known.of(folds != fold), shrinkage)
                losses.append(float(known.of(folds == fold).loss(_scores(part, table.cosine, weights))))
                progress()
            found.append((sum(losses) / len(losses), reads, shrinkage))
    loss, reads, shrinkage = min(found)
    columns = {"start": nothing, "plain": plain, "all": ~nothing}[reads]
    weights = _solved(x[:, columns], table.cosine, known, shrinkage)
    full = torch.zeros(x.shape[1])
    full[columns] = weights[1:]
    split = table.pictures.shape[1]
    head = TasteHead(layers, full[:split] / spread, full[split:] / product_spread, weights[0])
    return Fitted(head, reads, shrinkage, found[0][0], loss)


def count_fits(folds: int = FOLDS) -> int:
    """How often `fit_head` calls `progress`."""
    return folds * (1 + 2 * len(SHRINKAGES))


def _scores(x: torch.Tensor, cosine: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    return x @ weights[1:] + weights[0] * cosine


def _solved(x: torch.Tensor, cosine: torch.Tensor, known: Answers, shrinkage: float) -> torch.Tensor:
    """Least loss plus shrinkage * |weights|^2 / 2; the cosine's weight goes nearly free. Convex: no seed, no rate."""
    weights = torch.zeros(x.shape[1] + 1, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights], max_iter=60, history_size=10, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        penalty = 0.5 * shrinkage * weights[1:].square().sum() + 1e-3 * (weights[0] - 1).square()
        loss = known.loss(_scores(x, cosine, weights)) + penalty
        loss.backward()
        return loss

    optimizer.step(closure)
    return weights.detach()
