"""What is in a data set: counts, agreement, position bias, ties, gaps. One pass, a few bytes for each answer."""

from __future__ import annotations

import hashlib
import math
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lib_hps.preferences.records import BrokenRow, Record
from lib_hps.ranking import Ranking

_PROMPT_BIN, _GAP_BINS = 50, 10


@dataclass
class Statistics:
    """The figures.

    Attributes:
        sizes: pictures of a choice -> choices.
        kinds: "order", "pick", "partial", "none" -> choices.
        pairs, ordered, tied: pairs of pictures shown together; with an order; equal by the numbers given, or by an
            answer "none is better" (a pair that was just not compared is neither).
        best_at: (pictures, position) -> choices with one best picture at that position.
        prompt_lengths: characters, in steps of 50 -> choices.
        agreement: share of pairs of answers by different raters on the same two pictures that agree, None without any.
        judged_twice: pairs of pictures with answers by several raters.
        gaps: differences of the scores of two pictures, in tenths of the largest -> pairs.
        largest_gap: of them.
        flips: chance that one rater contradicts the mean order, from the spread of the scores; None without spreads.
    """

    records: int = 0
    broken: int = 0
    prompts: int = 0
    raters: int = 0
    sizes: Counter[int] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    pairs: int = 0
    ordered: int = 0
    tied: int = 0
    best_at: Counter[tuple[int, int]] = field(default_factory=Counter)
    prompt_lengths: Counter[int] = field(default_factory=Counter)
    agreement: float | None = None
    judged_twice: int = 0
    gaps: list[int] = field(default_factory=list)
    largest_gap: float = 0.0
    flips: float | None = None

    @property
    def pictures(self) -> int:
        """Shown in all choices; one shown twice counts twice."""
        return sum(size * count for size, count in self.sizes.items())

    def position_bias(self) -> list[tuple[int, int, float, float]]:
        """(pictures, choices, chi-square, p) against "every position wins equally often", for each size of a choice."""
        found = []
        for size in sorted({size for size, _ in self.best_at if size > 1}):
            won = [self.best_at[size, place] for place in range(size)]
            mean = sum(won) / size
            chi = sum((n - mean) ** 2 / mean for n in won)
            found.append((size, sum(won), round(chi, 1), _chi_square_tail(chi, size - 1)))
        return found


def statistics_of(records: Iterable[Record | BrokenRow]) -> Statistics:
    """Go through a data set once."""
    found = Statistics()
    prompts, raters, gaps, flips = array("Q"), set(), array("f"), array("f")
    votes = _Votes()
    for record in records:
        if isinstance(record, BrokenRow):
            found.broken += 1
            continue
        found.records += 1
        prompts.append(_hash(record.prompt))
        if record.rater:
            raters.add(record.rater)
        count = len(record.pictures)
        found.sizes[count] += 1
        found.kinds[kind_of(record.ranking)] += 1
        found.prompt_lengths[len(record.prompt) // _PROMPT_BIN * _PROMPT_BIN] += 1
        best = record.ranking.best()
        if len(best) == 1:
            found.best_at[count, best[0]] += 1
        _count_pairs(found, record)
        votes.add(record)
        scores, spreads = record.extra.get("scores"), record.extra.get("spreads")
        if scores is not None and _are_numbers(scores, count):
            _add_gaps(scores, spreads if _are_numbers(spreads, count) else None, gaps, flips)
    found.prompts, found.raters = len(np.unique(np.frombuffer(prompts, np.uint64))) if prompts else 0, len(raters)
    found.agreement, found.judged_twice = votes.agreement()
    if gaps:
        values = np.frombuffer(gaps, np.float32)
        found.largest_gap = float(values.max())
        found.gaps = np.histogram(values, bins=_GAP_BINS, range=(0, found.largest_gap or 1))[0].tolist()
    found.flips = float(np.frombuffer(flips, np.float32).mean()) if flips else None
    return found


def kind_of(ranking: Ranking) -> str:
    """How much an answer says: a full order, one pick, something between, or nothing."""
    edges, count = len(ranking.edges), ranking.count
    if not edges:
        return "none"
    if edges == count * (count - 1) // 2:
        return "order"
    return "pick" if edges == count - 1 and len({better for better, _ in ranking.edges}) == 1 else "partial"


def _count_pairs(found: Statistics, record: Record) -> None:
    count, edges = len(record.pictures), record.ranking.edges
    found.pairs += count * (count - 1) // 2
    found.ordered += len(edges)
    values = next((record.extra[name] for name in ("scores", "ranking", "rank") if name in record.extra), None)
    if _are_numbers(values, count):
        found.tied += sum(n * (n - 1) // 2 for n in Counter(values).values())
    elif not edges:
        found.tied += count * (count - 1) // 2


def _are_numbers(values: Any, count: int) -> bool:
    is_list = isinstance(values, list) and len(values) == count
    return is_list and all(isinstance(value, (int, float)) for value in values)


def _add_gaps(scores: Sequence[float], spreads: Sequence[float] | None, gaps: array, flips: array) -> None:
    for a in range(len(scores)):
        for b in range(a):
            gap = abs(scores[a] - scores[b])
            gaps.append(gap)
            if spreads is not None:
                wide = math.hypot(spreads[a], spreads[b])
                flips.append(0.5 * math.erfc(gap / wide / math.sqrt(2)) if wide else float(gap == 0) / 2)


class _Votes:
    """Answers on pairs of pictures, as three numbers each: the pair, the rater, who won."""

    def __init__(self) -> None:
        self._pairs, self._raters, self._won = array("Q"), array("Q"), array("b")

    def add(self, record: Record) -> None:
        names = [picture.name or str(picture.path) for picture in record.pictures]
        several = record.extra.get("raw_annotations")  # HPDv2: what each rater said of this row
        if isinstance(several, list):
            for one in several:
                rank = one.get("rank") if isinstance(one, Mapping) else None
                if isinstance(rank, list) and _are_numbers(rank, len(names)):
                    edges = Ranking.from_scores(-value for value in rank).edges
                    self._add(record.prompt, names, edges, str(one.get("user_hash") or ""))
        else:
            self._add(record.prompt, names, record.ranking.edges, record.rater)

    def _add(self, prompt: str, names: Sequence[str], edges: Iterable[tuple[int, int]], rater: str) -> None:
        who = _hash(rater) if rater else len(self._won) + 1  # an unknown rater is one of their own
        hashes = [_hash(f"{prompt}\0{name}") for name in names]
        for better, worse in edges:
            a, b = hashes[better], hashes[worse]
            self._pairs.append((min(a, b) * 31 + max(a, b)) & 0xFFFFFFFFFFFFFFFF)
            self._raters.append(who)
            self._won.append(1 if a < b else -1)

    def agreement(self) -> tuple[float | None, int]:
        """(share that agrees, pairs of pictures with several raters); a rater counts once on a pair."""
        if not self._won:
            return None, 0
        pairs, raters = np.frombuffer(self._pairs, np.uint64), np.frombuffer(self._raters, np.uint64)
        won = np.frombuffer(self._won, np.int8)
        order = np.lexsort((raters, pairs))
        pairs, raters, won = pairs[order], raters[order], won[order]
        is_new = np.ones(len(pairs), bool)
        is_new[1:] = (pairs[1:] != pairs[:-1]) | (raters[1:] != raters[:-1])
        pairs, won = pairs[is_new], won[is_new]
        _, starts, counts = np.unique(pairs, return_index=True, return_counts=True)
        up = np.add.reduceat((won > 0).astype(np.int64), starts)
        down = counts - up
        agreeing = (up * (up - 1) + down * (down - 1)).sum() / 2
        every = (counts * (counts - 1)).sum() / 2
        return (float(agreeing / every) if every else None), int((counts > 1).sum())


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def _chi_square_tail(chi: float, freedom: int) -> float:
    """P(chi-square > chi), by the regularised upper gamma function's series (Numerical Recipes, section 6.2)."""
    a, x = freedom / 2, chi / 2
    if x <= 0:
        return 1.0
    term = total = 1 / a
    for n in range(1, 2000):
        term *= x / (a + n)
        total += term
        if term < total * 1e-12:
            break
    lower = total * math.exp(min(700.0, -x + a * math.log(x) - math.lgamma(a)))
    return max(0.0, 1 - lower)
