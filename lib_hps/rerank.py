"""Which of many scored pictures are kept, and in which order: best first, none lost. No torch, no host here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from lib_hps.errors import InputError

MinimumKind = Literal["none", "score", "percentile"]
"""score: an absolute one of the scorer's scale; percentile: of the pictures of this run, 0..100."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is kept.

    Attributes:
        keep: at most so many pictures; 0 keeps all that pass.
        minimum_kind: how `minimum` is meant.
        minimum: pictures below it are not kept.
    """

    keep: int = 0
    minimum_kind: MinimumKind = "none"
    minimum: float = 0.0

    def __post_init__(self) -> None:
        if self.keep < 0:
            raise InputError(f"The number of pictures to keep must be 0 (all) or more, got {self.keep}.")
        if self.minimum_kind not in get_args(MinimumKind):
            kinds = ", ".join(get_args(MinimumKind))
            raise InputError(f"The kind of minimum must be one of {kinds}, got {self.minimum_kind!r}.")
        if not math.isfinite(self.minimum):
            raise InputError(f"The minimum must be a finite number, got {self.minimum!r}.")
        if self.minimum_kind == "percentile" and not 0 <= self.minimum <= 100:
            raise InputError(f"A percentile lies between 0 and 100, got {self.minimum:g}.")


@dataclass(frozen=True)
class Selection:
    """Indices of the pictures: `kept` and `rejected` are both best first, and together hold every picture once.

    Attributes:
        ranks: for every picture its place among all that have a score, from 1; None without a score.
        threshold: the score below which pictures were rejected, None where there was no minimum.
    """

    kept: tuple[int, ...]
    rejected: tuple[int, ...]
    ranks: tuple[int | None, ...]
    threshold: float | None = None


def is_score(score: float | None) -> bool:
    """True for a number that can be compared; None and NaN say that a picture was not scored."""
    return score is not None and not math.isnan(score)


def best_first(scores: Sequence[float | None]) -> list[int]:
    """Indices by falling score; equal scores stay in the order of generation, pictures without a score come last."""
    return sorted(range(len(scores)), key=lambda i: (not is_score(scores[i]), -(scores[i] or 0.0), i))


def percentile(scores: Sequence[float], percent: float) -> float:
    """The score below which `percent` % of `scores` lie, interpolated linearly as numpy does by default.

    Raises:
        InputError: there are no scores.
    """
    if not scores:
        raise InputError("No score, no percentile.")
    ordered = sorted(scores)
    position = (len(ordered) - 1) * percent / 100
    low = math.floor(position)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (position - low)


def threshold(scores: Sequence[float | None], wanted: Wanted) -> float | None:
    """The score that a picture must reach, or None where everything may stay."""
    known = [score for score in scores if score is not None and not math.isnan(score)]
    if wanted.minimum_kind == "none" or not known:
        return None
    return wanted.minimum if wanted.minimum_kind == "score" else percentile(known, wanted.minimum)


def select(scores: Sequence[float | None], wanted: Wanted) -> Selection:
    """Sort and filter. A picture without a score is never rejected: nobody has judged it, so it comes last.

    Args:
        scores: one per picture in the order of generation, higher is better; None or NaN where there is none.
    """
    order = best_first(scores)
    least = threshold(scores, wanted)
    scored = [i for i in order if is_score(scores[i])]
    passing = [i for i in scored if least is None or (scores[i] or 0.0) >= least]
    chosen = set(passing[: wanted.keep] if wanted.keep else passing)
    ranks: list[int | None] = [None] * len(scores)
    for rank, index in enumerate(scored, start=1):
        ranks[index] = rank
    kept = tuple(i for i in order if i in chosen or not is_score(scores[i]))
    rejected = tuple(i for i in scored if i not in chosen)
    return Selection(kept, rejected, tuple(ranks), least)


def is_enough(scores: Sequence[float | None], wanted: Wanted) -> bool:
    """True when generating more is not needed: as many pictures as wanted reach an absolute minimum.

    A percentile moves with every picture, and without a minimum a later one could always be better.
    """
    if wanted.minimum_kind != "score":
        return False
    passing = sum(1 for s in scores if s is not None and not math.isnan(s) and s >= wanted.minimum)
    return passing >= max(1, wanted.keep)


def plan_rounds(*, candidates: int, batch_count: int, batch_size: int, stops_early: bool) -> list[int]:
    """How many batches each round generates: all at once, or one by one where each may be the last.

    Args:
        candidates: pictures in all; 0 means batch_count * batch_size. Rounded up to whole batches.

    Raises:
        InputError: a count out of range.
    """
    if candidates < 0 or batch_count < 1 or batch_size < 1:
        raise InputError(
            f"Cannot plan {candidates} candidates in {batch_count} batches of {batch_size}: too small a number."
        )
    batches = math.ceil(candidates / batch_size) if candidates else batch_count
    return [1] * batches if stops_early else [batches]


def rank_text(rank: int, total: int) -> str:
    """`2/8`, as the infotext has it."""
    return f"{rank}/{total}"


def score_text(score: float) -> str:
    """A score with four decimals, `0.2731`: what infotexts and file names show."""
    return f"{score:.4f}"


def file_suffix(score: float | None) -> str:
    """What is added to a file's name, `-hps0.2731`; nothing without a score."""
    return f"-hps{score_text(score)}" if score is not None and is_score(score) else ""
