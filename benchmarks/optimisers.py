"""How good the ranking optimisers are, beside their peers, at an equal number of pictures.

    python benchmarks/optimisers.py simulated  [--repeats 10]
    python benchmarks/optimisers.py landscapes [--repeats 40] [--flip 0.15]
    python benchmarks/optimisers.py tiny-sd    [--repeats 20] [--flip 0.15]
    python benchmarks/optimisers.py cost

Every part prints a Markdown table (mean and 95 % interval of the best so far) and, with --plot FILE, draws the curves.
"simulated": the paper's quadratic and Rosenbrock in 100 dimensions, minimised. "landscapes": random tanh networks on
the Gaussian shell. "tiny-sd": the bundled model; tiny-hps answers, tiny-holdout judges what it never saw. "cost": time
of a round without its pictures.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import optimiser_peers as peers
from optimiser_cases import AMBIENT, Counter, Landscape, Spent

from lib_hps.noise import NoiseRecipe
from lib_hps.ranking import Ranking, make_optimizer

BUDGETS = (10, 25, 50, 100, 200, 400)
BATCH = 8
OURS = ("default", "zo-ranksgd", "cmaes", "random", "best-of-n")
EFFECTIVE, ROUGHNESS = (16, 64, 256, 1024), (1.0, 3.0)


def answer(scores: Sequence[float], flip: float, rng: np.random.Generator) -> Ranking:
    """A ranking by score, each pair turned round with the probability `flip`."""
    if not flip:
        return Ranking.from_scores(scores)
    pairs = [(a, b) for a, b in itertools.permutations(range(len(scores)), 2) if scores[a] > scores[b]]
    return Ranking.from_votes([p if rng.random() >= flip else p[::-1] for p in pairs], len(scores))


def search(
    name: str,
    score: Callable[[list[NoiseRecipe]], Sequence[float]],
    budget: int,
    *,
    seed: int,
    flip: float,
) -> tuple[list[float], list[NoiseRecipe]]:
    """Run one of ours; return, for every picture, the score and recipe of what was best (to its knowledge) then."""
    rng = np.random.default_rng(seed)
    optimizer = make_optimizer(name, seed=seed * 100_000, batch=BATCH)
    known: dict[NoiseRecipe, float] = {}
    curve: list[float] = []
    held: list[NoiseRecipe] = []
    while len(curve) < budget:
        asked = [candidate.recipe for candidate in optimizer.ask()]
        new = [recipe for recipe in dict.fromkeys(asked) if recipe not in known]
        known.update(zip(new, score(new), strict=True))
        optimizer.tell(answer([known[recipe] for recipe in asked], flip, rng))
        best = optimizer.best.recipe
        if best not in known:  # zo-ranksgd begins at a noise that it did not show
            known[best] = score([best])[0]
        curve += [known[best]] * len(new)
        held += [best] * len(new)
    return curve[:budget], held[:budget]


def on_landscape(method: str, flip: float, case: tuple[int, float, int]) -> list[float]:
    """The curve of one method on one landscape."""
    effective, roughness, number = case
    landscape = Landscape(effective, roughness, number)
    if method in OURS:
        noises: dict[int, np.ndarray] = {}

        def draw(seed: int) -> np.ndarray:
            if seed not in noises:
                noises[seed] = np.random.default_rng(seed).standard_normal(AMBIENT)
            return noises[seed]

        def score(recipes: list[NoiseRecipe]) -> list[float]:
            if not recipes:
                return []
            return landscape.score(np.stack([recipe.realise(draw) for recipe in recipes])).tolist()

        curve, _ = search(method, score, BUDGETS[-1], seed=number + 1, flip=flip)
    else:
        judge = Counter(landscape.score, BUDGETS[-1])
        run = {"published update": peers.published_update, "sep-CMA-ES": peers.separable_cma}[method]
        try:
            run(judge, np.random.default_rng(number), BATCH)
        except Spent:
            curve = judge.curve
    return [curve[budget - 1] for budget in BUDGETS]


def landscapes(repeats: int, flip: float) -> dict[str, np.ndarray]:
    """Curves (cases, budgets) of every method; peers are only compared on clean answers."""
    methods = [*OURS, *(() if flip else ("sep-CMA-ES", "published update"))]
    cases = list(itertools.product(EFFECTIVE, ROUGHNESS, range(repeats)))
    results = {}
    with ProcessPoolExecutor() as pool:
        for method in methods:
            results[method] = np.array(list(pool.map(partial(on_landscape, method, flip), cases, chunksize=4)))
            print(row(method, results[method]), flush=True)
    wins_over(results, "default")
    for index, (effective, roughness) in enumerate(itertools.product(EFFECTIVE, ROUGHNESS)):
        part = {name: curves[index * repeats : (index + 1) * repeats] for name, curves in results.items()}
        means = ", ".join(f"{name} {np.array2string(c.mean(0), precision=2)}" for name, c in part.items())
        print(f"\neffective dimension {effective}, roughness {roughness}: {means}")
    return results


def cost(rounds: int = 20) -> None:
    """Microseconds of optimiser and recipe work in a round, without drawing."""
    for name in OURS:
        optimizer = make_optimizer(name, seed=1, batch=BATCH)
        rng = np.random.default_rng(0)
        spent = []
        for _ in range(rounds):
            began = time.perf_counter()
            asked = optimizer.ask()
            texts = [candidate.recipe.format() for candidate in asked]
            assert [NoiseRecipe.parse(text) for text in texts] == [c.recipe for c in asked]
            optimizer.tell(Ranking.from_scores(rng.random(len(asked))))
            spent.append(1e6 * (time.perf_counter() - began))
        print(f"| {name} | {np.median(spent):.0f} | {max(spent):.0f} |")


def row(method: str, curves: np.ndarray) -> str:
    cells = [f"{c.mean():.2f} ± {1.96 * c.std() / len(c) ** 0.5:.2f}" for c in curves.T]
    return f"| {method} | " + " | ".join(cells) + " |"


def wins_over(results: dict[str, np.ndarray], name: str) -> None:
    print(f"\nshare of cases in which {name} is ahead, per budget:\n")
    for other, curves in results.items():
        if other != name:
            shares = (results[name] > curves).mean(axis=0) + 0.5 * (results[name] == curves).mean(axis=0)
            print(f"| {other} | " + " | ".join(f"{100 * share:.0f} %" for share in shares) + " |")


def plot(results: dict[str, np.ndarray], title: str, file: Path) -> None:
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4))
    for name, curves in results.items():
        mean, half = curves.mean(0), 1.96 * curves.std(0) / len(curves) ** 0.5
        budgets = BUDGETS[: len(mean)]
        axes.plot(budgets, mean, marker="o", label=name)
        axes.fill_between(budgets, mean - half, mean + half, alpha=0.15)
    axes.set(xscale="log", xlabel="pictures", ylabel="gain, standard deviations of random pictures", title=title)
    axes.set_xticks(BUDGETS, [str(budget) for budget in BUDGETS])
    axes.legend()
    figure.savefig(file, dpi=110, bbox_inches="tight")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=["simulated", "landscapes", "tiny-sd", "cost"])
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--flip", type=float, default=0.0, help="probability that a pair is answered the wrong way")
    parser.add_argument("--most", type=int, default=BUDGETS[-1], help="of tiny-sd: the largest number of pictures")
    parser.add_argument("--methods", nargs="+", default=["default", "best-of-n"], choices=OURS, help="of tiny-sd")
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--work", type=Path, help="of tiny-sd: keeps scores, so that a stopped run goes on")
    arguments = parser.parse_args()
    if arguments.part == "cost":
        cost()
    elif arguments.part == "simulated":
        from optimiser_simulated import simulated

        simulated(arguments.repeats)
    else:
        print("| method | " + " | ".join(str(budget) for budget in BUDGETS) + " |\n|---|" + "---|" * len(BUDGETS))
        if arguments.part == "landscapes":
            results = landscapes(arguments.repeats, arguments.flip)
        else:
            from optimiser_pictures import pictures

            budgets = [budget for budget in BUDGETS if budget <= arguments.most]
            results = pictures(arguments.methods, arguments.repeats, arguments.flip, budgets, arguments.work)
        if arguments.plot:
            plot(results, f"{arguments.part}, {100 * arguments.flip:.0f} % wrong answers", arguments.plot)


if __name__ == "__main__":
    main()
