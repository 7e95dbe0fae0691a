"""The default optimiser: a preferential Gaussian process on the coefficients of the noise recipes.

RankSGD's estimate throws a round away once its direction is walked; here every answer of the session is kept. Round 1
shows fresh noises. Every later round shows the top of what is believed ("step"), that point turned a little towards
fresh noises ("explore"), and the incumbent. On a linear utility the believed top is RankSGD's direction, averaged over
all rounds; where the utility bends, far rounds count less.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from lib_hps.errors import InputError
from lib_hps.noise import NoiseRecipe
from lib_hps.ranking.optimizer import Candidate, Optimizer, Round
from lib_hps.ranking.preference_gp import PreferenceGP

_TURN_SHRINK = 0.8
_MOST_POINTS = 400  # older ones are forgotten: the fit costs their number to the power of 3


class ShellGP(Optimizer):
    """Human-paced search on the shell that learns from every answer.

    Args:
        seed: see `Optimizer`.
        batch: see `Optimizer`.
        angle_rad: how far "explore" turns away from "step" in round 2; a fifth less in each round that follows, down to
            `least_angle_rad`. 0.2 looks alike, 1 is another picture.
        least_angle_rad: see `angle_rad`.
        length: smoothness of the utility, see `PreferenceGP`.
        noise: how often answers are wrong, see `PreferenceGP`.

    Raises:
        InputError: a value out of range.
    """

    name: ClassVar[str] = "default"

    def __init__(
        self,
        *,
        seed: int,
        batch: int,
        angle_rad: float = 0.8,
        least_angle_rad: float = 0.3,
        length: float = 1.7,
        noise: float = 0.5,
    ) -> None:
        super().__init__(seed=seed, batch=batch)
        for name, value in (("angle_rad", angle_rad), ("least_angle_rad", least_angle_rad)):
            if not 0 < value <= math.pi / 2:
                raise InputError(f"{name} is {value!r}; give a number above 0 and up to {math.pi / 2:.4f}.")
        for name, value in (("length", length), ("noise", noise)):
            if not 0 < value < math.inf:
                raise InputError(f"{name} is {value!r}; give a number above 0.")
        self._angles_rad = (angle_rad, least_angle_rad)
        self._length, self._noise = length, noise
        self._terms: dict[NoiseRecipe, tuple[NDArray[np.int64], NDArray[np.float64]]] = {}  # spares work alone

    def _propose(self) -> Sequence[Candidate]:
        recipes, edges = _answers(self.history)
        if not edges:
            return [Candidate(NoiseRecipe.single(self._fresh()), "fresh") for _ in range(self.batch)]
        if self.best.recipe not in recipes:
            recipes.append(self.best.recipe)
        seeds, points = self._coefficients(recipes)
        model = PreferenceGP(points, edges, length=self._length, noise=self._noise)
        top = model.climb(points[recipes.index(self.best.recipe)])
        step = NoiseRecipe.mix(zip(seeds, top.tolist(), strict=True))
        steps = [Candidate(step, "step")] if self.batch > 2 and step != self.best.recipe else []
        first, least = self._angles_rad
        answered = sum(bool(done.ranking.edges) for done in self.history)
        angle = max(least, first * _TURN_SHRINK ** (answered - 1))
        turned = [step.towards(NoiseRecipe.single(self._fresh()), angle) for _ in range(self.batch - 1 - len(steps))]
        return [*steps, *(Candidate(recipe, "explore") for recipe in turned), self.best]

    def _coefficients(self, recipes: Sequence[NoiseRecipe]) -> tuple[list[int], NDArray[np.float64]]:
        """The seeds of `recipes`, and (recipes, seeds), unit rows."""
        self._terms = {recipe: self._terms.get(recipe) or _arrays(recipe) for recipe in recipes}
        named, values = (np.concatenate(side) for side in zip(*self._terms.values(), strict=True))
        seeds = np.sort(named)
        seeds = seeds[np.diff(seeds, prepend=-1) > 0]  # np.unique would import numpy.ma: 7 ms of the first round
        rows = np.repeat(np.arange(len(recipes)), [len(recipe.terms) for recipe in recipes])
        table = np.zeros((len(recipes), len(seeds)))
        table[rows, np.searchsorted(seeds, named)] = values
        table /= np.linalg.norm(table, axis=1, keepdims=True)
        return seeds.tolist(), table

    def _learn(self, done: Round) -> None:
        """The history is the state: the model is fitted anew for every round."""


def _answers(history: Sequence[Round]) -> tuple[list[NoiseRecipe], list[tuple[int, int]]]:
    """Distinct recipes of the newest rounds, and the edges between them."""
    rows: dict[NoiseRecipe, int] = {}
    edges: list[tuple[int, int]] = []
    for done in reversed(history):
        if len(rows) + len(done.candidates) > _MOST_POINTS:
            new = {candidate.recipe for candidate in done.candidates} - rows.keys()
            if len(rows) + len(new) > _MOST_POINTS:
                break
        at = [rows.setdefault(candidate.recipe, len(rows)) for candidate in done.candidates]
        edges += [(at[a], at[b]) for a, b in done.ranking.edges if at[a] != at[b]]
    return list(rows), edges


def _arrays(recipe: NoiseRecipe) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    seeds, coefficients = zip(*recipe.terms, strict=True)
    return np.array(seeds, dtype=np.int64), np.array(coefficients)
