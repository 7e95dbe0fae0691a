"""What a better optimiser has to beat: fresh noises (best of N), and random walks around the incumbent."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

from lib_hps.errors import InputError
from lib_hps.noise import NoiseRecipe
from lib_hps.ranking.optimizer import Candidate, Optimizer, Round


class BestOfN(Optimizer):
    """Unrelated noises every round, and the best of all rounds before."""

    name: ClassVar[str] = "best-of-n"

    def _propose(self) -> Sequence[Candidate]:
        kept = [self.best] if self.history else []
        fresh = [Candidate(NoiseRecipe.single(self._fresh()), "fresh") for _ in range(self.batch - len(kept))]
        return [*fresh, *kept]

    def _learn(self, done: Round) -> None:
        """The incumbent is all there is to know."""


class RandomSearch(Optimizer):
    """The incumbent, and noises on a circle around it (great-circle hill climbing, as NoiseSearch has it).

    Args:
        seed: see `Optimizer`.
        batch: see `Optimizer`.
        angle_rad: radius of the circle, 0 to pi / 2.

    Raises:
        InputError: a value out of range.
    """

    name: ClassVar[str] = "random"

    def __init__(self, *, seed: int, batch: int, angle_rad: float = 0.5) -> None:
        super().__init__(seed=seed, batch=batch)
        if not 0 < angle_rad <= math.pi / 2:
            raise InputError(f"angle_rad is {angle_rad!r}; give a number above 0 and up to {math.pi / 2:.4f}.")
        self._angle_rad = angle_rad

    def _propose(self) -> Sequence[Candidate]:
        if not self.history:
            return [Candidate(NoiseRecipe.single(self._fresh()), "fresh") for _ in range(self.batch)]
        start = self.best.recipe
        around = [start.towards(NoiseRecipe.single(self._fresh()), self._angle_rad) for _ in range(self.batch - 1)]
        return [*(Candidate(recipe, "explore") for recipe in around), self.best]

    def _learn(self, done: Round) -> None:
        """The incumbent is all there is to know."""
