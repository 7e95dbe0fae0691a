"""Methods that ours are compared with, written from their papers (or from the published code, defects included)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from optimiser_cases import AMBIENT

from lib_hps.ranking import Ranking
from lib_hps.ranking.ranksgd import line_search_steps, rank_gradient

Judge = Callable[..., np.ndarray]  # (n, d) -> (n,); counts what it judged unless new=False; raises Spent at the end


def published_update(judge: Judge, rng: np.random.Generator, batch: int, mu: float = 0.3, step: float = 4.0) -> None:
    """The public code's update of the initial noise, maximising: weights m - 2r, no norm control; defects and all.

    Its second defect (shuffled answers read as unshuffled) is left out: with it nothing is learned at all.
    """
    x, direction, count = rng.standard_normal(AMBIENT), np.zeros(AMBIENT), 0
    judge(x[None])
    while True:
        points = x + mu * rng.standard_normal((batch, AMBIENT))
        order = np.argsort(-judge(points))
        weights = np.empty(batch)
        weights[order] = batch - 2 * np.arange(batch)
        u = weights @ (points - x) / mu / (batch * (batch - 1) / 2)
        direction, count = (direction * count + u) / (count + 1), count + 1
        walked = np.stack([x + s * direction for s in line_search_steps(step, batch - 2)])
        rivals = np.concatenate([walked, points[order[:1]], x[None]])
        scores = np.concatenate([judge(walked), judge(rivals[-2:], new=False)])  # the last two were shown before
        winner = int(np.argmax(scores))
        if winner < len(rivals) - 1:
            x, direction, count = rivals[winner], np.zeros(AMBIENT), 0


def separable_cma(judge: Judge, rng: np.random.Generator, batch: int) -> None:
    """sep-CMA-ES (the package `cmaes`) over the noise itself, maximising."""
    from cmaes import SepCMA

    search = SepCMA(mean=np.zeros(AMBIENT), sigma=1.0, seed=int(rng.integers(2**31)), population_size=batch)
    while True:
        points = [search.ask() for _ in range(batch)]
        scores = judge(np.stack(points))
        search.tell([(point, -score) for point, score in zip(points, scores, strict=True)])


def rank_sgd(f: Judge, x: np.ndarray, rng: np.random.Generator, *, m: int, k: int, step: float, mu: float) -> None:
    """ZO-RankSGD (arXiv 2303.03751), minimising: a step of fixed length factor, no line search."""
    while True:
        xi = rng.standard_normal((m, len(x)))
        order = np.argsort(f(x + mu * xi))
        x = x - step * rank_gradient(xi, Ranking.order([int(i) for i in order[:k]], m))
        f(x[None], new=False)


def rank_sgd_line_search(f: Judge, x: np.ndarray, rng: np.random.Generator, *, m: int, step: float, mu: float) -> None:
    """ZO-RankSGD with its line search by ranking; the steps of the search are queries as well."""
    direction, count = np.zeros(len(x)), 0
    while True:
        xi = rng.standard_normal((m, len(x)))
        u = -rank_gradient(xi, Ranking.from_scores(-f(x + mu * xi)))
        direction, count = (direction * count + u) / (count + 1), count + 1
        rivals = np.stack([x, *(x + s * direction for s in line_search_steps(step, m // 2))])
        best = int(np.argmin(np.concatenate([f(rivals[:1], new=False), f(rivals[1:])])))
        if best:
            x, direction, count = rivals[best], np.zeros(len(x)), 0
        else:
            step /= 2


def zo_sgd(f: Judge, x: np.ndarray, rng: np.random.Generator, *, step: float, mu: float, pairs: int = 7) -> None:
    """Two-point Gaussian finite differences (Ghadimi and Lan 2013), minimising; it sees values, not ranks."""
    while True:
        u = rng.standard_normal((pairs, len(x)))
        slope = (f(x + mu * u) - f(x - mu * u)) / (2 * mu)
        x = x - step * slope @ u / pairs
        f(x[None], new=False)


def gld_fast(f: Judge, x: np.ndarray, rng: np.random.Generator, *, radius: float, levels: int = 4) -> None:
    """Gradientless descent (Golovin et al. 2020, GLD-Fast): a few radii around the present one, take the best."""
    d = len(x)
    while True:
        radii = [radius * 2.0**e for e in range(-levels, levels + 1)]
        ball = rng.standard_normal((len(radii), d))
        ball *= (rng.random(len(radii)) ** (1 / d) / np.linalg.norm(ball, axis=1))[:, None]
        points = np.concatenate([x[None], x + np.array(radii)[:, None] * ball])
        best = int(np.argmin(np.concatenate([f(points[:1], new=False), f(points[1:])])))
        x = points[best]
        radius = radii[best - 1] if best else radius / 2


def scobo(f: Judge, x: np.ndarray, rng: np.random.Generator, *, step: float, mu: float, m: int = 15) -> None:
    """SCOBO (Cai et al. 2020): a gradient from one-bit comparisons, here without sparsity; two queries a comparison."""
    while True:
        z = rng.standard_normal((m, len(x)))
        signs = np.sign(f(x + mu * z) - f(x - mu * z))
        g = signs @ z
        x = x - step * g / np.linalg.norm(g)
        f(x[None], new=False)


def cma(f: Judge, x: np.ndarray, rng: np.random.Generator, *, sigma: float) -> None:
    """CMA-ES (the package `cmaes`), minimising."""
    from cmaes import CMA

    search = CMA(mean=x, sigma=sigma, seed=int(rng.integers(2**31)))
    while True:
        points = [search.ask() for _ in range(search.population_size)]
        values = f(np.stack(points))
        search.tell([(point, value) for point, value in zip(points, values, strict=True)])
