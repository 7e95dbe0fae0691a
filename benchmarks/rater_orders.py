"""Simulated raters who err as public label sets say people do: orders with ties, more errors where two are close.

Opinions are Thurstone's (1927): each picture seems as good as it is, plus normal noise, and what seems equal is a tie.
Both widths come from labels of people (`hps data stats --labels-only`, docs/data.md):

- AGIQA-3K (2,982 pictures, means and spreads of opinions): one rater contradicts the mean order on 17.3 % of pairs.
  By the gap of the means, over the gaps' root mean square, tenths of the 13,344 pairs: `CONTRADICTED`. That curve is
  not used to make the rater; `curve` of a rater can be held against it.
- ImageReward's test set (466 orders with ties): 831 of 7,230 pairs (11.5 %) are tied.

Kept beside the raters with 15 % noise (`rater_tastes`), which the goal is stated for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np

from benchmarks.rater_pictures import Group
from benchmarks.rater_tastes import DRAWS, Pick, Rater, width_for
from lib_hps.ranking import Ranking

CONTRADICTIONS = 0.173
TIES = 0.115
CONTRADICTED = (  # (gap / root mean square gap, share of pairs)
    (0.05, 0.462), (0.14, 0.386), (0.25, 0.314), (0.36, 0.237), (0.50, 0.168),
    (0.69, 0.099), (0.94, 0.046), (1.26, 0.013), (1.58, 0.003), (2.01, 0.000),
)  # fmt: skip


@dataclass(frozen=True)
class Order(Pick):
    """An answer that orders all pictures; agreeing is measured on its pairs."""

    def agreement(self, values: Sequence[float]) -> float:
        """Share of the ordered pairs that values order alike; equal values count half."""
        gaps = [values[better] - values[worse] for better, worse in self.ranking.edges]
        return float(np.mean([0.5 * ((gap > 0) + (gap >= 0)) for gap in gaps]))


class OrderingRater(Rater):
    """A taste that errs as `CONTRADICTIONS` and `TIES` say."""

    kind = Order
    chance = 0.5

    def __init__(self, taste: str, groups: Sequence[Group]) -> None:
        super().__init__(taste, groups, noise=CONTRADICTIONS)
        self._width = self._tie_width()

    def _answer(self, utilities: np.ndarray, rng: np.random.Generator) -> Ranking:
        return self._order(utilities + self._temperature * rng.normal(size=len(utilities)))

    def _order(self, seeming: np.ndarray) -> Ranking:
        """Those next to each other within the width of a tie share a place."""
        best_first = np.argsort(-seeming)
        tiers = [[int(best_first[0])]]
        for above, below in pairwise(best_first):
            if seeming[above] - seeming[below] > self._width:
                tiers.append([])
            tiers[-1].append(int(below))
        return Ranking.order([tuple(tier) for tier in tiers], len(seeming))

    def _is_worth_asking(self, utilities: Sequence[float]) -> bool:
        return max(utilities) > min(utilities)

    def _calibrated(self, noise: float) -> float:
        """The deviation of an opinion at which so many pairs of unequal pictures come out the other way round."""
        rng = np.random.default_rng(0)
        values = self._shown(DRAWS, rng)
        errors = rng.normal(size=values.shape)
        gaps = _gaps(values)

        def contradicted(width: float) -> float:
            return float((gaps * _gaps(values + width * errors) < 0)[gaps != 0].mean())

        return width_for(contradicted, noise, 100 * float(values.std()))

    def _tie_width(self) -> float:
        """The width at which so many pairs are tied."""
        rng = np.random.default_rng(1)
        values = self._shown(DRAWS // 4, rng)
        seeming = values + self._temperature * rng.normal(size=values.shape)
        pairs = values.shape[1] * (values.shape[1] - 1) / 2

        def tied(width: float) -> float:
            self._width = width
            return float(1 - np.mean([len(self._order(row).edges) for row in seeming]) / pairs)

        return width_for(tied, TIES, float(seeming.std()), rounds=30)

    def curve(self) -> list[tuple[float, float]]:
        """As `CONTRADICTED`, of this rater: where utilities are few numbers, there are fewer tenths."""
        rng = np.random.default_rng(2)
        values = self._shown(DRAWS, rng)
        gaps, seeming = _gaps(values), _gaps(values + self._temperature * rng.normal(size=values.shape))
        wrong, sizes = (gaps * seeming < 0)[gaps != 0], np.abs(gaps[gaps != 0])
        edges = np.unique(np.quantile(sizes, np.linspace(0, 1, 11)))
        tenth = np.clip(np.searchsorted(edges, sizes, side="right") - 1, 0, max(len(edges) - 2, 0))
        root = float(np.sqrt(np.square(sizes).mean()))
        return [
            (float(sizes[tenth == n].mean()) / root, float(wrong[tenth == n].mean()))
            for n in range(max(len(edges) - 1, 1))
            if (tenth == n).any()
        ]


def _gaps(values: np.ndarray) -> np.ndarray:
    """(N, m) -> differences of every two of a row, flat."""
    return np.concatenate([values[:, a] - values[:, b] for a, b in combinations(range(values.shape[1]), 2)])
