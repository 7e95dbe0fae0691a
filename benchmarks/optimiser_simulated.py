"""The simulated experiments of the ZO-RankSGD paper (arXiv 2303.03751), each method at its best step."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import optimiser_peers as peers
from optimiser_cases import Counter, Spent, quadratic, rosenbrock


def simulated(repeats: int, budget: int = 3000) -> None:
    """The paper's two functions; the best step size of each method is swept, the budget counts evaluations."""
    for title, f in (("quadratic", quadratic), ("Rosenbrock", rosenbrock)):
        print(f"\n{title}, d = 100, {budget} evaluations: log10 of the least value found\n")
        print("| method | log10 f, mean and 95 % interval | step |\n|---|---|---|")
        for name, run, settings in simulated_methods():
            best: tuple[float, str] | None = None
            for setting in settings:
                ends = []
                for number in range(repeats):
                    judge = Counter(lambda x, f=f: np.minimum(f(x), 1e12), budget)
                    low: list[float] = []

                    def watched(points: np.ndarray, new: bool = True, *, judge=judge, low=low) -> np.ndarray:
                        values = judge(points, new)
                        low.append(float(np.nanmin(values)))
                        return values

                    rng = np.random.default_rng(number)
                    try:
                        with np.errstate(all="ignore"):
                            run(watched, 0.5 * rng.standard_normal(100), rng, **setting)
                    except Spent:
                        ends.append(np.log10(max(min(low), 1e-12)))
                line = f"{np.mean(ends):.2f} ± {1.96 * np.std(ends) / len(ends) ** 0.5:.2f}"
                if best is None or np.mean(ends) < best[0]:
                    best = (float(np.mean(ends)), f"| {name} | {line} | {setting} |")
            print(best[1] if best else "", flush=True)


def simulated_methods() -> list[tuple[str, Callable[..., None], list[dict[str, float]]]]:
    steps = [10.0**e for e in (-2.5, -2, -1.5, -1, -0.5, 0)]
    ranks = [{"m": 15, "mu": mu, "step": step} for mu in (0.01, 0.1) for step in steps]
    return [
        ("ZO-RankSGD (15, 15)", peers.rank_sgd, [{**s, "k": 15} for s in ranks]),
        ("ZO-RankSGD (15, 5)", peers.rank_sgd, [{**s, "k": 5} for s in ranks]),
        ("ZO-RankSGD (15, 1)", peers.rank_sgd, [{**s, "k": 1} for s in ranks]),
        ("ZO-RankSGD, line search", peers.rank_sgd_line_search, ranks),
        ("ZO-SGD (sees values)", peers.zo_sgd, [{"mu": 0.01, "step": step / 100} for step in steps]),
        ("SCOBO", peers.scobo, [{"mu": 0.01, "step": step} for step in steps]),
        ("GLD-Fast", peers.gld_fast, [{"radius": r} for r in (0.1, 0.3, 1.0)]),
        ("CMA-ES", peers.cma, [{"sigma": s} for s in (0.1, 0.3, 1.0)]),
    ]
