"""The optimisers on real pictures: tiny-sd draws, tiny-hps answers, tiny-holdout judges what it never saw."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from optimisers import BUDGETS, OURS, row, search, wins_over

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
STYLES = ("noto", "twemoji", "3d")
RANDOM = 64
DIMENSIONS = dict(width=64, height=64, steps=12, sampler="DDIM", cfg=4.0)


class Oracle:
    """Draws and scores recipes for one prompt, in standard deviations of random pictures of that prompt."""

    def __init__(self, prompt: str) -> None:
        self._pipeline = load_pipeline(require_tiny_checkpoint(), "cpu")
        self._scorers = {name: load_scorer(name, device="cpu") for name in (SCORER, HOLDOUT)}
        self.use(prompt)

    def use(self, prompt: str) -> None:
        """Turn to another prompt."""
        self._prompt = prompt
        self._scale = dict.fromkeys(self._scorers, (0.0, 1.0))
        fresh = [NoiseRecipe.single(1_000_000 + i) for i in range(RANDOM)]
        images = self._draw(fresh)
        for name in self._scorers:
            scores = self._raw(name, images)
            self._scale[name] = (float(scores.mean()), float(scores.std()))

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


def pictures(repeats: int, flip: float) -> dict[str, np.ndarray]:
    """Curves (prompts, budgets) of every method by the scorer that answered; the held-out scorer's are printed."""
    prompts = [f"{name}, {STYLES[i % 3]} style" for i, name in enumerate(NAMES[:repeats])]
    oracle = Oracle(prompts[0])
    answered: dict[str, list] = {name: [] for name in OURS}
    held_out: dict[str, list] = {name: [] for name in OURS}
    for number, prompt in enumerate(prompts):
        oracle.use(prompt)
        for method in OURS:
            curve, held = search(method, lambda new: oracle.score(SCORER, new), BUDGETS[-1], seed=number + 1, flip=flip)
            answered[method].append([curve[budget - 1] for budget in BUDGETS])
            held_out[method].append(oracle.score(HOLDOUT, [held[budget - 1] for budget in BUDGETS]))
    results = {name: np.array(curves) for name, curves in answered.items()}
    for name, curves in results.items():
        print(row(name, curves))
    wins_over(results, "default")
    print("\nthe held-out scorer on the same pictures:\n")
    for name, curves in held_out.items():
        print(row(name, np.array(curves)), flush=True)
    return results
