"""Fits a `TasteHead`: convex, with one prior variance for each block of columns; seconds for 1,000 choices.

The variances are those that make the answers most likely (`head_problem`), so blocks that a taste has no use for fade
away. Then whole families of blocks are dropped where that lowers the loss in cross-validation over prompts: what is
learned of one prompt must hold for others. Last, each fold is scored by what the others taught, with variances that
they corrected without its answers (after nested cross-validation, Varma and Simon 2006; they begin at those of all): so
the small networks are weighed against the rest (`head_stack`), and so it is asked whether there is a head at all. The
start model's own score stays, with a weight that begins at 1, so that few choices change little.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from lib_hps.scoring.clip.head import TasteHead
from lib_hps.scoring.clip.head_features import THUMBNAIL
from lib_hps.training.head_answers import Answers
from lib_hps.training.head_basis import make_blocks
from lib_hps.training.head_blocks import Block, Table, head_of
from lib_hps.training.head_network import learn_networks, opinions_of_others
from lib_hps.training.head_problem import Note, Problem
from lib_hps.training.head_stack import stack, stacked_apart

FOLDS = 3
_ROUNDS, _ROUNDS_ANEW = 10, 5  # of the variances; of a fold's, which begin where those of all ended
_MOST = 600  # choices by which variances are found and families judged


@dataclass(frozen=True)
class Fitted:
    """A head, and what decided it.

    Attributes:
        blocks: prior variance of each block that is left; of "network", its squared weight.
        start_loss: negative log-likelihood of the start model, a mean over choices.
        loss: of the head, in cross-validation, variances and networks' weight found without the fold.
    """

    head: TasteHead
    blocks: dict[str, float]
    start_loss: float
    loss: float


def fit_head(
    table: Table, known: Answers, folds: Tensor, note: Note = lambda _: None, *, device: str | torch.device = "cpu"
) -> Fitted:
    """Fit a head.

    Args:
        table: what the choices' pictures and prompts look like.
        known: the answers.
        folds: (C,) fold of each choice; choices of a prompt share one.
        note: for each round of the variances "loss" (of the choices that it looks at) and "blocks" that are left, for
            each family judged the "held-out loss" without it, for the head and the start model theirs, and the
            "networks' weight", for each of Newton's last steps "loss" of all.
        device: where networks learn; all else is small.
    """
    thumbnails = table.described[THUMBNAIL]
    opinions = opinions_of_others(thumbnails, known, folds, torch.device(device), note)
    blocks = make_blocks(table, known.wins(len(table.texts)), known.folds(folds, len(table.texts)))
    problem, rows = Problem(blocks, table), known.apart()
    few = known if len(folds) <= _MOST else known.of(_first(len(folds), _MOST))
    variances = problem.likeliest(few, problem.begin(), _ROUNDS, note)
    variances = _without_idle_families(problem, few, folds, variances, blocks, note)
    nothing = torch.cat([variances[:1], torch.zeros(len(variances) - 1)])
    start = problem.held_out(known, folds, nothing)
    own = problem.held_out(known, folds, variances, rounds_anew=_ROUNDS_ANEW)
    shares, scores = _with_networks(rows, folds, own, opinions)
    losses, start_losses = rows.losses(scores), rows.losses(start)
    note({"held-out loss of the start model": float(start_losses.mean())})
    note({"held-out loss of the head": float(losses.mean()), "networks' weight": float(shares[1])})
    # no more than chance may give, or surer but less often right: the start model stays as it is
    if not _is_beyond_chance(start_losses - losses) or _is_beyond_chance(rows.hits(start) - rows.hits(scores)):
        variances, losses, shares = nothing, start_losses, torch.tensor([1.0, 0.0])
    weights = shares[0] * problem.solve(known, variances, note=note)
    left = {name: float(v) for name, v in zip(blocks, variances[1:], strict=True) if v > 0 and shares[0] > 0}
    network = None
    if shares[1] > 0:
        network = (shares[1], learn_networks(thumbnails, known, torch.device(device), note))
        left["network"] = float(shares[1].square())
    head = TasteHead(head_of(blocks, weights[0] / problem.spread, weights[1:].split(problem.sizes), network))
    return Fitted(head, left, float(known.loss(table.cosine)), float(losses.mean()))


def _with_networks(rows: Answers, folds: Tensor, own: Tensor, opinions: Tensor | None) -> tuple[Tensor, Tensor]:
    """How much head and networks count, (2,), and their scores together (R * m,), of choices that they did not see."""
    alone = torch.tensor([1.0, 0.0])
    if opinions is None:
        return alone, own
    columns = torch.stack([own, opinions.flatten()], dim=1)
    shares, scores = stack(rows, columns), stacked_apart(rows, folds, columns)
    return (shares, scores) if shares.any() and rows.loss(scores) < rows.loss(own) else (alone, own)


def _is_beyond_chance(gain: Tensor) -> bool:
    """Whether the mean of (C,) is more than its standard error."""
    return bool(gain.mean() > gain.std() / len(gain) ** 0.5)


def _first(count: int, most: int) -> Tensor:
    keep = torch.zeros(count, dtype=torch.bool)
    keep[torch.randperm(count, generator=torch.Generator().manual_seed(0))[:most]] = True
    return keep


def _without_idle_families(
    problem: Problem, known: Answers, folds: Tensor, variances: Tensor, blocks: Mapping[str, Block], note: Note
) -> Tensor:
    """The variances: one family after the other is dropped where the loss falls without it."""
    family = ["start", *(block.family for block in blocks.values())]
    rows = known.apart()
    loss = rows.loss(problem.held_out(known, folds, variances))
    note({"held-out loss": float(loss)})
    for gone in ("embedding", "towers", "waves", "words", "naming", "tags", "prompt", "pixels"):
        kept = variances * torch.tensor([float(name != gone) for name in family])
        if not torch.equal(kept, variances):
            without = rows.loss(problem.held_out(known, folds, kept))
            note({f"held-out loss without {gone}": float(without)})
            if without <= loss:
                loss, variances = without, kept
    return variances
