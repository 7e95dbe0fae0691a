"""A Gaussian process on the shell, learned from answers "a is better than b" (Chu and Ghahramani, ICML 2005).

Points are unit vectors, so the kernel is a function of the cosine alone: `k(x, y) = exp((x.y - 1) / l^2)`. Answers have
the logistic likelihood `1 / (1 + exp(-(f(a) - f(b)) / s))`; only the mode of the posterior is used.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]

_NEWTON_STEPS = 30
_ASCENT_STEPS = 60
_NEWTON_STOP = 0.03  # Newton's method squares the error: what is left behind so small a step is below 1e-4
_TOLERANCE = 1e-4
_JITTER = 1e-6


class PreferenceGP:
    """The mode of the posterior over a utility f ~ GP(0, k).

    Args:
        points: (n, s) unit rows.
        edges: (better, worse) rows of `points`.
        length: l of the kernel; 1 and more is smooth over the whole shell.
        noise: s of the likelihood, in standard deviations of f; answers of people want more than a scorer's.
    """

    def __init__(self, points: Array, edges: Sequence[tuple[int, int]], *, length: float, noise: float) -> None:
        self._points, self._length = points, length
        better, worse = (np.array(side, dtype=np.intp) for side in zip(*edges, strict=True))
        covariance = self._kernel(points @ points.T)
        covariance.flat[:: len(points) + 1] += _JITTER
        self._alpha = _mode(covariance, better, worse, noise)  # K^-1 f

    def mean(self, x: Array) -> Array:
        """Posterior mode of f at the unit rows `x` (m, s)."""
        return self._kernel(x @ self._points.T) @ self._alpha

    def climb(self, start: Array) -> Array:
        """The nearest maximum of `mean` on the sphere: steepest ascent along great circles with backtracking.

        Args:
            start: (s,), a unit vector.
        """
        x, angle = start, 1.0
        weights = self._kernel(self._points @ x) * self._alpha  # each point's share of mean(x)
        for _ in range(_ASCENT_STEPS):
            slope = weights @ self._points  # gradient, times l^2
            slope -= (slope @ x) * x
            length = float(np.linalg.norm(slope))
            if length < _JITTER:
                break
            value, angle = weights.sum(), min(1.0, 2 * angle)
            while angle > _TOLERANCE:
                moved = np.cos(angle) * x + np.sin(angle) / length * slope
                moved_weights = self._kernel(self._points @ moved) * self._alpha
                if moved_weights.sum() > value:
                    x, weights = moved / np.linalg.norm(moved), moved_weights
                    break
                angle /= 2
            else:
                break
        return x

    def _kernel(self, cosine: Array) -> Array:
        # overwrites `cosine`
        cosine -= 1  # in place: of large arrays the memory costs more than the arithmetic
        cosine /= self._length**2
        return np.exp(cosine, out=cosine)


def _mode(covariance: Array, better: NDArray[np.intp], worse: NDArray[np.intp], noise: float) -> Array:
    """Newton's method for the mode f of the posterior; returns K^-1 f (Rasmussen and Williams, section 3.4)."""
    count = len(covariance)
    alpha: Array = np.zeros(count)
    f: Array = np.zeros(count)
    hessian, system = np.empty((2, count, count))
    for _ in range(_NEWTON_STEPS):
        surprise = 1 / (1 + np.exp(np.clip((f[better] - f[worse]) / noise, -30, 30)))  # 1 - P(answer)
        gradient = np.bincount(better, surprise, count) - np.bincount(worse, surprise, count)
        curvature = surprise * (1 - surprise) / noise**2
        hessian.fill(0)
        hessian.flat[:: count + 1] = np.bincount(better, curvature, count) + np.bincount(worse, curvature, count)
        np.subtract.at(hessian, (better, worse), curvature)
        np.subtract.at(hessian, (worse, better), curvature)
        np.matmul(hessian, covariance, out=system)
        system.flat[:: count + 1] += 1
        alpha = np.linalg.solve(system, hessian @ f + gradient / noise)
        before, f = f, covariance @ alpha
        if np.abs(f - before).max() < _NEWTON_STOP:
            break
    return alpha
