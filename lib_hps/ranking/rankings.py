"""An answer to "which do you like better?", whatever its form: edges of a directed acyclic graph."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lib_hps.errors import InputError

Edge = tuple[int, int]


@dataclass(frozen=True)
class Ranking:
    """What is known of `count` candidates (arXiv 2303.03751, section 2: an (m,k)-ranking oracle's DAG).

    Attributes:
        count: candidates shown, numbered from 0.
        edges: (better, worse), sorted. No edge between two candidates: nothing is known, or they are equal.

    Raises:
        InputError: an unknown candidate, one better than itself, or a circle.
    """

    count: int
    edges: tuple[Edge, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.count, int) or self.count < 1:
            raise InputError(f"A ranking of {self.count!r} candidates is none. At least one has to be shown.")
        for better, worse in self.edges:
            _check_index(better, self.count)
            _check_index(worse, self.count)
            if better == worse:
                raise InputError(f"Candidate {better} cannot be better than itself.")
        if list(self.edges) != sorted(set(self.edges)):
            object.__setattr__(self, "edges", tuple(sorted(set(self.edges))))
        circle = next((group for group in _strong_components(self.count, self.edges) if len(group) > 1), None)
        if circle:
            raise InputError(
                f"The answers contradict each other: the candidates {sorted(circle)} are each better than the next, in "
                "a circle. Take one of them back (or use Ranking.from_votes, which settles circles by counting)."
            )

    @classmethod
    def order(cls, groups: Iterable[int | Sequence[int]], count: int) -> Ranking:
        """Best first; a tuple holds equals; whoever is not named is worse than all that are (top-k).

        Raises:
            InputError: a candidate named twice or unknown.
        """
        tiers = [[group] if isinstance(group, int) else list(group) for group in groups]
        named = [index for tier in tiers for index in tier]
        for index in named:
            _check_index(index, count)
            if named.count(index) > 1:
                raise InputError(f"Candidate {index} is ranked twice. Name each once.")
        if named:
            tiers.append([index for index in range(count) if index not in named])
        edges = []
        for place, tier in enumerate(tiers):
            edges += [(a, b) for later in tiers[place + 1 :] for a in tier for b in later]
        return cls(count, tuple(sorted(edges)))

    @classmethod
    def pick(cls, index: int, count: int) -> Ranking:
        """One is better than all others."""
        return cls.order([index], count)

    @classmethod
    def pairs(cls, pairs: Iterable[Edge], count: int) -> Ranking:
        """A/B answers (better, worse), as they are."""
        return cls(count, tuple(sorted(set(pairs))))

    @classmethod
    def from_votes(cls, votes: Iterable[Edge], count: int) -> Ranking:
        """A/B answers that may repeat and contradict: the majority of each pair counts.

        Inside a circle (a over b over c over a) an answer is kept where it agrees with the count of pairs won.
        """
        tally: dict[Edge, int] = {}
        for better, worse in votes:
            _check_index(better, count)
            _check_index(worse, count)
            tally[better, worse] = tally.get((better, worse), 0) + 1
        edges = [(a, b) for (a, b), n in tally.items() if a != b and n > tally.get((b, a), 0)]
        circle_of = {i: n for n, group in enumerate(_strong_components(count, edges)) for i in group}
        won = [0] * count
        for better, worse in edges:
            won[better] += 1
            won[worse] -= 1
        return cls(count, tuple(sorted((a, b) for a, b in edges if circle_of[a] != circle_of[b] or won[a] > won[b])))

    @classmethod
    def none_better(cls, count: int, incumbent: int | None = None) -> Ranking:
        """No candidate beats the incumbent (nothing at all is known where none was shown)."""
        return cls(count, ()) if incumbent is None else cls.pick(incumbent, count)

    @classmethod
    def from_scores(cls, scores: Iterable[float]) -> Ranking:
        """Higher is better, equal scores are ties.

        Raises:
            InputError: NaN or nothing.
        """
        values = [float(score) for score in scores]
        for index, value in enumerate(values):
            if math.isnan(value):
                raise InputError(f"The score of candidate {index} is NaN, so it has no rank. Score it again.")
        return cls(
            len(values),
            tuple((a, b) for a in range(len(values)) for b in range(len(values)) if values[a] > values[b]),
        )

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Ranking:
        """Read `to_dict`.

        Raises:
            InputError: it is something else.
        """
        try:
            return cls(data["count"], tuple((int(a), int(b)) for a, b in data["edges"]))
        except (KeyError, TypeError, ValueError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"{str(data)[:80]!r} is no ranking: 'count' and 'edges' are needed.") from error

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"count": self.count, "edges": [list(edge) for edge in self.edges]}

    def weights(self) -> list[int]:
        """Edges out of each candidate minus edges into it; they sum to 0. Rank r of a full order of m: m - 1 - 2r."""
        weights = [0] * self.count
        for better, worse in self.edges:
            weights[better] += 1
            weights[worse] -= 1
        return weights

    def best(self) -> tuple[int, ...]:
        """Candidates that beat somebody and that nobody beats; empty where nothing is known."""
        beaten = {worse for _, worse in self.edges}
        return tuple(sorted({better for better, _ in self.edges} - beaten))

    def prefers(self, better: int, worse: int) -> bool:
        """Whether it was said, directly or through others."""
        seen, waiting = set(), [better]
        while waiting:
            at = waiting.pop()
            for a, b in self.edges:
                if a == at and b not in seen:
                    seen.add(b)
                    waiting.append(b)
        return worse in seen

    def shown_as(self, positions: Sequence[int]) -> Ranking:
        """The same answer in other numbers: candidate i of this ranking is `positions[i]` of the result.

        Raises:
            InputError: `positions` is no permutation of the candidates.
        """
        if sorted(positions) != list(range(self.count)):
            raise InputError(f"{list(positions)} is no permutation of {self.count} candidates.")
        return Ranking(self.count, tuple(sorted((positions[a], positions[b]) for a, b in self.edges)))


def _check_index(index: object, count: int) -> None:
    if not isinstance(index, int) or isinstance(index, bool) or not 0 <= index < count:
        raise InputError(f"{index!r} is no candidate; they are numbered 0 to {count - 1}.")


def _strong_components(count: int, edges: Iterable[Edge]) -> list[list[int]]:
    """Groups of candidates that reach each other (Kosaraju); singletons included."""
    forward: list[list[int]] = [[] for _ in range(count)]
    backward: list[list[int]] = [[] for _ in range(count)]
    for a, b in edges:
        forward[a].append(b)
        backward[b].append(a)
    finished: list[int] = []
    seen: set[int] = set()
    for start in range(count):
        _walk(start, forward, seen, finished)
    seen, groups = set(), []
    for start in reversed(finished):
        group: list[int] = []
        _walk(start, backward, seen, group)
        if group:
            groups.append(group)
    return groups


def _walk(start: int, successors: list[list[int]], seen: set[int], finished: list[int]) -> None:
    """Depth first; appends in the order of leaving."""
    stack = [(start, False)]
    while stack:
        at, is_leaving = stack.pop()
        if is_leaving:
            finished.append(at)
        elif at not in seen:
            seen.add(at)
            stack.append((at, True))
            stack += [(b, False) for b in successors[at] if b not in seen]
