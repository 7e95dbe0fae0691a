"""The optimisers on real pictures: tiny-sd draws, tiny-hps answers, tiny-holdout judges what it never saw."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from multiprocessing import get_context

import numpy as np
import torch
from optimisers import BUDGETS, row, search, wins_over

from lib_hps.diffusion.bundled import HOLDOUT, SCORER, require_tiny_checkpoint
from lib_hps.diffusion.pipeline import load_pipeline
from lib_hps.diffusion.request import GenerationRequest
from lib_hps.noise import NoiseRecipe
from lib_hps.scoring import load_scorer

NAMES = (
    "red heart", "blue heart", "green circle", "cat face", "dog face", "panda", "fox", "lion", "frog", "red apple",
    "pizza", "cookie", "sun", "cloud with rain", "rainbow", "rocket", "house", "guitar", "smiling face with sunglasses",
    "octopus",
)  # fmt: skip
METHODS = ("default", "zo-ranksgd", "best-of-n")
STYLES = ("noto", "twemoji", "3d")
RANDOM = 64
DIMENSIONS = dict(width=64, height=64, steps=8, sampler="DDIM", cfg=4.0)


class Oracle:
    """Draws and scores recipes for one prompt, in standard deviations of random pictures of that prompt."""

    def __init__(self) -> None:
        self._pipeline = load_pipeline(require_tiny_checkpoint(), "cpu")
        self._scorers = {name: load_scorer(name, device="cpu") for name in (SCORER, HOLDOUT)}

    def use(self, prompt: str) -> None:
        """Turn to another prompt."""
        self._prompt = prompt
        self._known: dict[NoiseRecipe, float] = {}
        self._scale = dict.fromkeys(self._scorers, (0.0, 1.0))
        fresh = [NoiseRecipe.single(1_000_000 + i) for i in range(RANDOM)]
        images = self._draw(fresh)
        for name in self._scorers:
            scores = self._raw(name, images)
            self._scale[name] = (float(scores.mean()), float(scores.std()))

    def answer(self, recipes: Sequence[NoiseRecipe]) -> list[float]:
        """Standardised scores of SCORER; what was drawn before for this prompt is not drawn again."""
        new = [recipe for recipe in dict.fromkeys(recipes) if recipe not in self._known]
        self._known.update(zip(new, self.score(SCORER, new), strict=True))
        return [self._known[recipe] for recipe in recipes]

    def score(self, name: str, recipes: Sequence[NoiseRecipe]) -> list[float]:
        """Standardised scores of `recipes` by the scorer `name`."""
        if not recipes:
            return []
        mean, sd = self._scale[name]
        return ((self._raw(name, self._draw(recipes)) - mean) / sd).tolist()

    def _raw(self, name: str, images: list) -> np.ndarray:
        return self._scorers[name].score(images, self._prompt).astype(np.float64)

    def _draw(self, recipes: Sequence[NoiseRecipe]) -> list:
        count = len(recipes)
        request = GenerationRequest(prompt=self._prompt, batch_size=min(count, 32), count=count, **DIMENSIONS)
        shape = self._pipeline.latent_shape(request)

        def draw(seed: int) -> torch.Tensor:
            return torch.randn(shape, generator=torch.Generator("cpu").manual_seed(seed))

        noise = torch.stack([recipe.realise(draw) for recipe in recipes])
        return [picture.image for picture in self._pipeline.generate(request, noise=noise, seeds=(0,) * count)]


@cache
def oracle() -> Oracle:
    """One for each process."""
    torch.set_num_threads(1)
    return Oracle()


def on_prompt(flips: Sequence[float], number: int) -> list[dict[str, tuple[list[float], list[float]]]]:
    """For each share of wrong answers and each method: scores at the budgets by SCORER and by HOLDOUT."""
    judge = oracle()
    judge.use(f"{NAMES[number]}, {STYLES[number % 3]} style")
    at = [budget - 1 for budget in BUDGETS]
    found: list[dict[str, tuple[list[float], list[float]]]] = []
    for flip in flips:
        found.append({})
        for method in METHODS:
            curve, held = search(method, judge.answer, BUDGETS[-1], seed=number + 1, flip=flip)
            found[-1][method] = ([curve[i] for i in at], judge.score(HOLDOUT, [held[i] for i in at]))
    print(f"  {NAMES[number]}: {found[0]['default'][0][-1]:.2f}", file=sys.stderr, flush=True)
    return found


def pictures(repeats: int, flip: float) -> dict[str, np.ndarray]:
    """Print, for clean answers and for `flip`, the scores of who answered and of the held-out scorer.

    Returns the curves (prompts, budgets) of every method on clean answers.
    """
    flips = [0.0, *([flip] if flip else [])]
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        found = list(pool.map(partial(on_prompt, flips), range(min(repeats, len(NAMES)))))
    for index, share in enumerate(flips):
        for side, name in enumerate((SCORER, HOLDOUT)):
            curves = {m: np.array([one[index][m][side] for one in found]) for m in METHODS}
            print(f"\n{name}, {100 * share:.0f} % of the pairs answered the wrong way\n")
            print(*(row(method, part) for method, part in curves.items()), sep="\n")
            wins_over(curves, "default")
    return {m: np.array([one[0][m][0] for one in found]) for m in METHODS}
