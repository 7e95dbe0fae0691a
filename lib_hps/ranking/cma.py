"""CMA-ES over the coefficients of a fixed set of noises (the `cmaes` package), for comparison."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from lib_hps.errors import InputError
from lib_hps.noise import NoiseRecipe
from lib_hps.ranking.optimizer import Candidate, Optimizer, Round

_RANDOM_STATE_RANGE = 2**31


class CMAES(Optimizer):
    """Covariance matrix adaptation in the space spanned by `dimensions` fixed noises; ranks stand in for values.

    Args:
        seed: see `Optimizer`.
        batch: see `Optimizer`; the incumbent and a population of batch - 1.
        dimensions: noises that are mixed.
        sigma: first standard deviation of a coefficient.

    Raises:
        InputError: a value out of range, or the package `cmaes` is not installed.
    """

    name: ClassVar[str] = "cmaes"

    def __init__(self, *, seed: int, batch: int, dimensions: int = 32, sigma: float = 1.0) -> None:
        super().__init__(seed=seed, batch=batch)
        if batch < 4:
            raise InputError(f"The batch is {batch}; cmaes needs 4 candidates a round, one of them the incumbent.")
        if not isinstance(dimensions, int) or not 2 <= dimensions <= 1000:
            raise InputError(f"dimensions is {dimensions!r}; give a whole number from 2 to 1000.")
        if not 0 < sigma < np.inf:
            raise InputError(f"sigma is {sigma!r}; give a number above 0.")
        self._dimensions, self._sigma = dimensions, sigma
        self._begin()

    def _begin(self) -> None:
        try:
            from cmaes import CMA
        except ImportError as error:
            raise InputError("The optimiser 'cmaes' needs the package cmaes: pip install cmaes.") from error
        self._cma: Any = CMA(
            mean=np.zeros(self._dimensions),
            sigma=self._sigma,
            seed=self.seed % _RANDOM_STATE_RANGE,
            population_size=self.batch - 1,
        )
        self._population: list[Any] | None = None

    def _reset(self) -> None:
        super()._reset()
        self._begin()

    def _drawn(self) -> list[Any]:
        """This round's points; CMA's generator moves on, so they are drawn once a round, in replays as well."""
        if self._population is None:
            self._population = [self._cma.ask() for _ in range(self.batch - 1)]
        return self._population

    def _propose(self) -> Sequence[Candidate]:
        recipes = [
            NoiseRecipe.mix(((self.seed + i) % 2**32, float(c)) for i, c in enumerate(point)) for point in self._drawn()
        ]
        return [*(Candidate(recipe, "explore") for recipe in recipes), self.best]

    def _learn(self, done: Round) -> None:
        weights = done.ranking.weights()
        self._cma.tell([(point, -float(weights[i])) for i, point in enumerate(self._drawn())])
        self._population = None
