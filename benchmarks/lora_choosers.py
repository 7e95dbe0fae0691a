"""Who chooses the pictures that a LoRA of benchmarks/lora_gain.py learns from: a scorer, or a simulated person."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image

from benchmarks.rater_tastes import sharpness, warmth

NOISE = 0.15  # share of a person's picks that are not their favourite
TASTES: dict[str, Callable[..., float]] = {
    "warm colours": warmth,
    "sharpness": sharpness,
}  # that need the picture alone
Picture = Path | Image.Image


class Chooser(Protocol):
    """Gives each picture a score for its prompt."""

    def score(self, images: Sequence[Picture], prompts: str | Sequence[str]) -> np.ndarray: ...


class Taste:
    """A simulated person, who looks at the picture and not at the prompt."""

    def __init__(self, name: str) -> None:
        self._utility = TASTES[name]

    def score(self, images: Sequence[Picture], prompts: str | Sequence[str]) -> np.ndarray:
        return np.array([self._utility(_pixels(image), None, None) for image in images])


def temperature(groups: Sequence[np.ndarray], *, noise: float = NOISE) -> float:
    """The width of Gumbel noise with which that share of picks of four in a group miss the favourite."""
    chance = np.random.default_rng(0)
    shown = np.array([chance.permutation(groups[n])[:4] for n in chance.integers(len(groups), size=6000)])
    gumbel = chance.gumbel(size=shown.shape)
    low, high = 0.0, 100.0 * float(shown.std())
    for _ in range(60):
        middle = (low + high) / 2
        missed = float(((shown + middle * gumbel).argmax(axis=1) != shown.argmax(axis=1)).mean())
        low, high = (middle, high) if missed < noise else (low, middle)
    return low


def _pixels(image: Picture) -> np.ndarray:
    opened = image if isinstance(image, Image.Image) else Image.open(image)
    return np.asarray(opened.convert("RGB"), dtype=np.float64)
