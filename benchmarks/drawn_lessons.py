"""The pictures that `drawn_clip` learns from: roughened emoji, and drawings as readers see them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from benchmarks.rater_pictures import read
from benchmarks.rater_reading import OTHER_SEEDS, backgrounds_of, load_readers
from tools.tiny_models.augment import BACKGROUNDS, compose, draw_backgrounds, move, premultiply
from tools.tiny_models.emoji import STYLES
from tools.tiny_models.judge import roughen
from tools.tiny_models.loop import autocast
from tools.tiny_models.train import Run

EMOJI, DRAWN = 40, 56  # of a batch
SMOOTHING = 0.03


@dataclass(frozen=True)
class Lesson:
    """Pictures (N, 3, 64, 64) in -1..1, and how surely each is which thing (N, names), in which style (N, 3) and before
    which background (N, 9).
    """

    images: torch.Tensor
    things: torch.Tensor
    styles: torch.Tensor
    grounds: torch.Tensor


class Lessons:
    """Batches of roughened emoji and of drawings.

    What readers see in a drawing is asked anew for every version of it that is shown, and half of them are two drawings
    laid over each other. So a few thousand never come to an end, and what is learned is how the readers read instead of
    what each drawing was (Beyer et al. 2022, "Knowledge distillation: a good teacher is patient and consistent").

    Args:
        run: with the emoji; the readers are not the raters' own (`rater_reading`).
        drawings: folders of `rater_pictures`.
    """

    def __init__(self, run: Run, drawings: Sequence[Path]) -> None:
        self._names = len(run.emoji)
        self._rgba = premultiply(run.pictures.reshape(-1, *run.pictures.shape[2:]))
        self._readers = load_readers(run.work, OTHER_SEEDS)
        files = [shown.file for folder in drawings for group in read(folder, "tiny-sd") for shown in group.pictures]
        pixels = np.stack([np.asarray(Image.open(file).convert("RGB")) for file in files])
        self._drawn = torch.from_numpy(pixels).movedim(-1, 1)  # levels, uint8

    def batch(self, generator: torch.Generator) -> Lesson:
        """What a step learns from."""
        parts = [self._emoji(generator), self._drawings(generator)]
        return Lesson(*(torch.cat(each) for each in zip(*(vars(part).values() for part in parts), strict=True)))

    def _emoji(self, generator: torch.Generator) -> Lesson:
        rows = torch.randint(len(self._rgba), (EMOJI,), generator=generator)
        grounds = draw_backgrounds(EMOJI, generator)
        images = roughen(compose(self._rgba[rows], grounds, generator, scale=(0.7, 1.1)), generator)
        known = ((rows // len(STYLES), self._names), (rows % len(STYLES), len(STYLES)), (grounds, len(BACKGROUNDS)))
        return Lesson(images, *(F.one_hot(each, count).float() for each, count in known))

    @torch.no_grad()
    def _drawings(self, generator: torch.Generator) -> Lesson:
        """Moved a little, every second one roughened; every second one with the next laid over it."""
        rows = torch.randint(len(self._drawn), (DRAWN,), generator=generator)
        images = move(self._drawn[rows].float() / 127.5 - 1, generator)
        is_rough, is_mixed = (torch.rand(DRAWN, generator=generator) < 0.5 for _ in range(2))
        images = torch.where(is_rough[:, None, None, None], roughen(images, generator), images)
        share = torch.where(is_mixed, torch.rand(DRAWN, generator=generator), 1.0)
        images = torch.lerp(images.roll(1, dims=0), images, share[:, None, None, None])
        with autocast():
            things, styles = self._readers.things(images), self._readers.styles(images)
        return Lesson(images, things, styles, F.one_hot(backgrounds_of(images), len(BACKGROUNDS)).float())
