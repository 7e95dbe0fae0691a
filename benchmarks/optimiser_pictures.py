"""The optimisers on real pictures: tiny-sd draws, tiny-hps answers, tiny-holdout judges what it never saw.

The prompts are among the judge's concepts, which neither scorer had among its choices (`tools/tiny_models/drawn.py`).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from optimisers import BUDGETS, row, search, wins_over

from lib_hps.diffusion.bundled import HOLDOUT, SCORER, require_tiny_checkpoint
from lib_hps.diffusion.pipeline import load_pipeline
from lib_hps.diffusion.request import GenerationRequest
from lib_hps.noise import NoiseRecipe
from lib_hps.scoring import load_scorer

NAMES = (
    "red heart", "blue heart", "green circle", "cat face", "dog face", "panda", "fox", "penguin", "frog", "red apple",
    "pizza", "doughnut", "sun", "cloud with rain", "rainbow", "rocket", "umbrella", "guitar", "octopus",
    "smiling face with sunglasses",
)  # fmt: skip
STYLES = ("noto", "twemoji", "3d")
RANDOM = 64
DIMENSIONS = dict(width=64, height=64, steps=8, sampler="DDIM", cfg=4.0)


class Oracle:
    """Draws and scores recipes for one prompt, in standard deviations of random pictures of that prompt.

    Args:
        folder: keeps raw scores of what was drawn, so that a stopped run goes on; None keeps nothing.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._pipeline = load_pipeline(require_tiny_checkpoint(), "cpu", "bfloat16")
        self._scorers = {name: load_scorer(name, device="cpu") for name in (SCORER, HOLDOUT)}

    def use(self, number: int) -> None:
        """Turn to another prompt."""
        self._prompt = f"{NAMES[number]}, {STYLES[number % 3]} style"
        self._file = self._folder / f"{number:02d}.json" if self._folder else None
        is_there = self._file is not None and self._file.exists()
        self._known: dict[str, list[float]] = json.loads(self._file.read_text()) if is_there and self._file else {}
        raw = np.array(self._raw([NoiseRecipe.single(1_000_000 + i) for i in range(RANDOM)]))  # (RANDOM, 2)
        self._mean, self._sd = raw.mean(axis=0), raw.std(axis=0)
        self.agreement = float(np.corrcoef(raw.T)[0, 1])

    def score(self, recipes: Sequence[NoiseRecipe], *, by: str = SCORER) -> list[float]:
        """Standardised scores of `recipes`; what was drawn before for this prompt is not drawn again."""
        if not recipes:
            return []
        side = (SCORER, HOLDOUT).index(by)
        return ((np.array(self._raw(recipes))[:, side] - self._mean[side]) / self._sd[side]).tolist()

    def keep(self) -> None:
        """Write down what was drawn."""
        if self._file:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._file.write_text(json.dumps(self._known))

    def _raw(self, recipes: Sequence[NoiseRecipe]) -> list[list[float]]:
        new = [recipe for recipe in dict.fromkeys(recipes) if str(recipe) not in self._known]
        if new:
            images = self._draw(new)
            columns = [scorer.score(images, self._prompt).tolist() for scorer in self._scorers.values()]
            self._known.update(zip(map(str, new), map(list, zip(*columns, strict=True)), strict=True))
        return [self._known[str(recipe)] for recipe in recipes]

    def _draw(self, recipes: Sequence[NoiseRecipe]) -> list:
        count = len(recipes)
        request = GenerationRequest(prompt=self._prompt, batch_size=min(count, 32), count=count, **DIMENSIONS)
        shape = self._pipeline.latent_shape(request)

        def draw(seed: int) -> torch.Tensor:
            return torch.randn(shape, generator=torch.Generator("cpu").manual_seed(seed))

        noise = torch.stack([recipe.realise(draw) for recipe in recipes])
        return [picture.image for picture in self._pipeline.generate(request, noise=noise, seeds=(0,) * count)]


@cache
def oracle(folder: Path | None) -> Oracle:
    """One for each process."""
    torch.set_num_threads(1)
    return Oracle(folder)


def on_prompt(
    methods: Sequence[str], flips: Sequence[float], budgets: Sequence[int], folder: Path | None, number: int
) -> dict[str, Any]:
    """ "agreement" of the scorers on random pictures; for each "flip/method" the scores at the budgets by either."""
    judge = oracle(folder)
    judge.use(number)
    at = [budget - 1 for budget in budgets]
    found: dict[str, Any] = {"agreement": judge.agreement}
    for flip in flips:
        for method in methods:
            curve, held = search(method, judge.score, budgets[-1], seed=number + 1, flip=flip)
            found[f"{flip}/{method}"] = [[curve[i] for i in at], judge.score([held[i] for i in at], by=HOLDOUT)]
            judge.keep()
    print(f"  {NAMES[number]}: {found[f'0.0/{methods[0]}'][0][-1]:.2f}", file=sys.stderr, flush=True)
    return found


def differences(curves: dict[str, np.ndarray], name: str) -> None:
    """Print how far `name` is ahead of each other method on the same prompts."""
    for other, part in curves.items():
        if other != name:
            print("\n" + row(f"{name} - {other}, paired", curves[name] - part))


def pictures(
    methods: Sequence[str], repeats: int, flip: float, budgets: Sequence[int] = BUDGETS, folder: Path | None = None
) -> dict[str, np.ndarray]:
    """Print, for clean answers and for `flip`, the scores of who answered and of the held-out scorer.

    Args:
        methods: names of optimisers, the one first with which the others are compared.
        repeats: prompts.
        flip: probability of a wrong answer.
        budgets: pictures.
        folder: see `Oracle`.

    Returns:
        The curves (prompts, budgets) of every method on clean answers, by either scorer.
    """
    flips = [0.0, *([flip] if flip else [])]
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        found = list(pool.map(partial(on_prompt, methods, flips, budgets, folder), range(min(repeats, len(NAMES)))))
    agreement = np.array([one["agreement"] for one in found])
    half = 1.96 * agreement.std(ddof=1) / len(agreement) ** 0.5
    print(f"\ncorrelation of the scorers on {RANDOM} random pictures of a prompt: {agreement.mean():.2f} ± {half:.2f}")
    drawn: dict[str, np.ndarray] = {}
    for share in flips:
        for side, name in enumerate((SCORER, HOLDOUT)):
            curves = {m: np.array([one[f"{share}/{m}"][side] for one in found]) for m in methods}
            print(f"\n{name}, {100 * share:.0f} % of the pairs answered the wrong way\n")
            print(*(row(method, part) for method, part in curves.items()), sep="\n")
            wins_over(curves, methods[0])
            differences(curves, methods[0])
            if not share:
                drawn |= {f"{method}, {name}": part for method, part in curves.items()}
    return drawn
