"""What optimisers are compared on: smooth random landscapes on the Gaussian shell, and the paper's two functions."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

AMBIENT = 4096  # dimensions of a noise; the landscape sees the first few of them
HIDDEN = 64


class Landscape:
    """A random tanh network of `effective` of the noise's dimensions, in standard deviations of random noises.

    A noise off the shell is judged where it projects to.
    """

    def __init__(self, effective: int, roughness: float, seed: int) -> None:
        rng = np.random.default_rng([effective, int(10 * roughness), seed])
        self._in = rng.standard_normal((HIDDEN, effective)) * roughness / math.sqrt(effective)
        self._bias = rng.standard_normal(HIDDEN) * roughness / 2
        self._out = rng.standard_normal(HIDDEN)
        self._effective = effective
        values = self._raw(rng.standard_normal((4000, effective)))
        self._mean, self._sd = values.mean(), values.std()

    def _raw(self, x: np.ndarray) -> np.ndarray:
        return np.tanh(x @ self._in.T + self._bias) @ self._out

    def score(self, noises: np.ndarray) -> np.ndarray:
        """(n, AMBIENT) -> (n,), higher is better; 0 and 1 are mean and sd of random noises."""
        on_shell = noises * (math.sqrt(AMBIENT) / np.linalg.norm(noises, axis=1, keepdims=True))
        return (self._raw(on_shell[:, : self._effective]) - self._mean) / self._sd


def quadratic(x: np.ndarray) -> np.ndarray:
    """(n, d) -> (n,): |x|^2."""
    return (x**2).sum(axis=1)


def rosenbrock(x: np.ndarray) -> np.ndarray:
    """(n, d) -> (n,): the usual chained form, minimum 0 at (1, ..., 1)."""
    return (100 * (x[:, 1:] - x[:, :-1] ** 2) ** 2 + (1 - x[:, :-1]) ** 2).sum(axis=1)


class Spent(Exception):
    """The budget is used up."""


class Counter:
    """Scores points, keeps the best so far after each, and stops at the budget."""

    def __init__(self, score: Callable[[np.ndarray], np.ndarray], budget: int) -> None:
        self._score, self._budget = score, budget
        self.curve: list[float] = []

    def __call__(self, points: np.ndarray, new: bool = True) -> np.ndarray:
        scores = self._score(points)
        if new:
            for value in scores:
                self.curve.append(max(value, self.curve[-1] if self.curve else -np.inf))
            if len(self.curve) >= self._budget:
                raise Spent
        return scores
