"""ZO-RankSGD over noise recipes: the paper's two alternating rounds, kept on the shell.

Gradient round: `x + mu xi_i` are ranked, and the estimate is averaged into the direction D. Line-search round:
`x + step D` for halving steps, the best of the gradient round and x itself are ranked; the winner becomes x, and D is
forgotten unless x won. Every point is scaled back to the shell when it is shown (the published code lets it drift off),
candidates may be shown in any order (the published code loses it), and the weights of the ranks sum to zero (they did
not).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np

from lib_hps.errors import InputError
from lib_hps.noise import NoiseRecipe, combine
from lib_hps.ranking.optimizer import Candidate, Optimizer, Round, winner_of
from lib_hps.ranking.ranksgd import line_search_steps, rank_gradient

Phase = Literal["gradient", "line search"]


class ZORankSGD(Optimizer):
    """The paper's algorithm. Rounds alternate: gradient, line search, gradient, ...

    Args:
        seed: see `Optimizer`; x begins as this seed's own noise.
        batch: see `Optimizer`; m of the gradient rounds, and n of the line-search rounds.
        mu: size of the perturbations relative to x.
        step: the line search's largest step, in lengths of x per unit of D.

    Raises:
        InputError: a value out of range, or a batch under 4 (two steps, the best of the round before, and x).
    """

    name: ClassVar[str] = "zo-ranksgd"

    def __init__(self, *, seed: int, batch: int, mu: float = 0.5, step: float = 4.0) -> None:
        super().__init__(seed=seed, batch=batch)
        if batch < 4:
            raise InputError(f"The batch is {batch}; zo-ranksgd needs 4 candidates a round for its line search.")
        for name, value in (("mu", mu), ("step", step)):
            if not 0 < value < math.inf:
                raise InputError(f"{name} is {value!r}; give a number above 0.")
        self._mu, self._step = mu, step
        self._begin()

    @property
    def best(self) -> Candidate:
        """x, the point from which the search goes on."""
        return Candidate(self._x, "incumbent")

    def _begin(self) -> None:
        self._x = NoiseRecipe.single(self.seed)
        self._used = max(self._used, 1)  # the seed of x
        self._phase: Phase = "gradient"
        self._direction: dict[int, float] = {}  # D, by seed
        self._averaged = 0  # c
        self._round_best = self._x

    def _reset(self) -> None:
        super()._reset()
        self._begin()

    def _propose(self) -> Sequence[Candidate]:
        if self._phase == "gradient":
            return [Candidate(self._perturbed(self._fresh()), "explore") for _ in range(self.batch)]
        walked = [self._walked(step) for step in line_search_steps(self._step, self.batch - 2)]
        others = [Candidate(self._round_best, "explore"), self.best]
        return [*(Candidate(recipe, "step") for recipe in walked), *others]

    def _perturbed(self, seed: int) -> NoiseRecipe:
        return combine([(self._x, 1.0), (NoiseRecipe.single(seed), self._mu)])

    def _walked(self, step: float) -> NoiseRecipe:
        total = dict(self._x.terms)
        for seed, coefficient in self._direction.items():
            total[seed] = total.get(seed, 0.0) + step * coefficient
        return NoiseRecipe.mix(total)

    def _learn(self, done: Round) -> None:
        if self._phase == "gradient":
            self._learn_direction(done)
            self._phase = "line search" if self._direction else "gradient"
            return
        winner = winner_of(done, self._x)
        if winner != self._x:
            self._x, self._direction, self._averaged = winner, {}, 0
        self._phase = "gradient"

    def _learn_direction(self, done: Round) -> None:
        """D <- (D c + u) / (c + 1), u = -g of the perturbations xi_i = (what was shown - its part along x) / mu."""
        best = done.ranking.best()
        if not best:
            return
        self._round_best = done.candidates[best[0]].recipe
        seeds = sorted({seed for c in done.candidates for seed, _ in c.recipe.terms} | {s for s, _ in self._x.terms})
        column = {seed: index for index, seed in enumerate(seeds)}
        x = np.zeros(len(seeds))
        for seed, coefficient in self._x.terms:
            x[column[seed]] = coefficient
        shown = np.zeros((len(done.candidates), len(seeds)))
        for row, candidate in enumerate(done.candidates):
            for seed, coefficient in candidate.recipe.terms:
                shown[row, column[seed]] = coefficient
        xi = shown / (shown @ x)[:, None] - x  # undo the scaling to the shell: mu * xi_i
        ascent = -rank_gradient(xi / self._mu, done.ranking)
        for seed in set(seeds) | self._direction.keys():
            u = float(ascent[column[seed]]) if seed in column else 0.0
            before = self._direction.get(seed, 0.0)
            self._direction[seed] = (before * self._averaged + u) / (self._averaged + 1)
        self._averaged += 1
