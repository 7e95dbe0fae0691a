"""Who chooses the pictures that a LoRA of benchmarks/lora_gain.py learns from: a scorer, or a simulated person."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image

from benchmarks.rater_tastes import CANDIDATES, NOISE, gumbel_width, pixels_of, sharpness, warmth

TASTES: dict[str, Callable[..., float]] = {"warm colours": warmth, "sharpness": sharpness}
"""Those that need the picture alone."""
Picture = Path | Image.Image


class Chooser(Protocol):
    """Gives each picture a score for its prompt."""

    def score(self, images: Sequence[Picture], prompts: str | Sequence[str]) -> np.ndarray: ...


class Taste:
    """A simulated person, who looks at the picture and not at the prompt."""

    def __init__(self, name: str) -> None:
        self._utility = TASTES[name]

    def score(self, images: Sequence[Picture], prompts: str | Sequence[str]) -> np.ndarray:
        return np.array([self._utility(pixels_of(image), None, None) for image in images])


def temperature(groups: Sequence[np.ndarray]) -> float:
    """The width of Gumbel noise with which a share of `NOISE` of a group's picks miss the favourite."""
    chance = np.random.default_rng(0)
    shown = np.array([chance.permutation(groups[n])[:CANDIDATES] for n in chance.integers(len(groups), size=6000)])
    return gumbel_width(shown, NOISE, chance)
