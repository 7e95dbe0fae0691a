"""A host that paints: every recipe has a picture and a score, in microseconds and without a model."""

from __future__ import annotations

import threading
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lib_hps.board.host import Arrived, FinalOrder, Order, ScorerLine, Step
from lib_hps.errors import InputError
from lib_hps.infotext import format_infotext, read_generation
from lib_hps.noise import NoiseRecipe

SIDE = 16
SETTINGS = {
    "prompt": "a cat",
    "negative": "",
    "steps": 4,
    "sampler": "DDIM",
    "cfg": 4.0,
    "width": SIDE,
    "height": SIDE,
    "model": "painter",
}


def noise(recipe: str) -> np.ndarray:
    """What a host would call the initial noise, (D,)."""
    return NoiseRecipe.parse(recipe).realise(lambda seed: np.random.default_rng(seed).standard_normal(3 * SIDE * SIDE))


def paint(recipe: str) -> Image.Image:
    pixels = (noise(recipe).reshape(SIDE, SIDE, 3) * 40 + 128).clip(0, 255)
    return Image.fromarray(pixels.astype(np.uint8))


class Painter:
    """`draws` counts pictures; `gate`, where it is closed, holds the painting up."""

    draws_itself = True
    finishes_itself = True
    final_strength = 0.5

    def __init__(self) -> None:
        self.draws: list[str] = []
        self.seeds: list[int] = []
        self.gate = threading.Event()
        self.gate.set()
        self.fails = False
        self.target = np.random.default_rng(99).standard_normal(3 * SIDE * SIDE)

    def defaults(self) -> dict[str, Any]:
        return {name: value for name, value in SETTINGS.items() if name != "prompt"}

    def samplers(self) -> list[str]:
        return ["DDIM"]

    def check_settings(self, settings: Mapping[str, Any]) -> None:
        if settings["sampler"] not in self.samplers():
            raise InputError(f"There is no sampler {settings['sampler']!r}. Choose DDIM.")

    def scorers(self) -> list[ScorerLine]:
        return [ScorerLine("near", True), ScorerLine("far", True), ScorerLine("missing", False)]

    def score(self, scorer: str, pictures: Sequence[Path], prompt: str) -> list[float]:
        """near: how close to a hidden picture; far: the opposite, so that the two part at once."""
        sign = {"near": 1.0, "far": -1.0}[scorer]
        found = []
        for picture in pictures:
            generation = read_generation(picture)
            assert generation is not None
            found.append(sign * float(noise(generation.settings["HPS noise"]) @ self.target) / len(self.target))
        return found

    def draw(self, order: Order) -> Generator[Step | Arrived, None, None]:
        for place, item in enumerate(order.items):
            yield Step(place / len(order.items))
            assert self.gate.wait(30)
            if self.fails:
                raise InputError("The paint is dry.")
            self.draws.append(item.recipe)
            self.seeds.append(order.seed)
            settings = {"Steps": 4, "Sampler": "DDIM", "Seed": order.seed, **item.infotext}
            yield Arrived(item.index, paint(item.recipe), format_infotext(order.settings["prompt"], settings=settings))

    def finish(self, order: FinalOrder) -> Generator[Step | Arrived, None, None]:
        yield Step(0.5)
        with Image.open(order.picture) as image:
            large = image.resize((order.width, order.height))
        settings = {"Steps": 4, "Sampler": "DDIM", "Seed": order.seed, **order.item.infotext}
        yield Arrived(0, large, format_infotext(order.settings["prompt"], settings=settings))

    def keep(self, picture: Path) -> Path | None:
        return None
