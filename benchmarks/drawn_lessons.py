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
from benchmarks.rater_reading import OTHER_SEEDS, background_of, load_readers
from tools.tiny_models.augment import BACKGROUNDS, compose, draw_backgrounds, move, premultiply
from tools.tiny_models.emoji import STYLES
from tools.tiny_models.judge import roughen
from tools.tiny_models.loop import device
from tools.tiny_models.train import Run

EMOJI, DRAWN = 40, 56  # of a batch
SMOOTHING = 0.03


@dataclass(frozen=True)
class Lesson:
    """Pictures (N, 3, 64, 64) in -1..1; how surely which thing (N, names), in which style (N, 3); backgrounds (N,)."""

    images: torch.Tensor
    things: torch.Tensor
    styles: torch.Tensor
    grounds: torch.Tensor


class Lessons:
    """Batches of roughened emoji and of drawings.

    Args:
        run: with the emoji; the readers' seeds are others than those of the raters' own (`rater_reading`).
        drawings: folders of `rater_pictures`.
    """

    def __init__(self, run: Run, drawings: Sequence[Path]) -> None:
        self._names = len(run.emoji)
        self._rgba = premultiply(run.pictures.reshape(-1, *run.pictures.shape[2:]))
        files = [shown.file for folder in drawings for group in read(folder, "tiny-sd") for shown in group.pictures]
        self._drawn = _read_by_others(files, run.work)

    def batch(self, generator: torch.Generator) -> Lesson:
        """What a step learns from."""
        parts = [self._emoji(generator), self._drawings(generator)]
        return Lesson(*(torch.cat(each) for each in zip(*(vars(part).values() for part in parts), strict=True)))

    def _emoji(self, generator: torch.Generator) -> Lesson:
        rows = torch.randint(len(self._rgba), (EMOJI,), generator=generator)
        grounds = draw_backgrounds(EMOJI, generator)
        images = roughen(compose(self._rgba[rows], grounds, generator, scale=(0.7, 1.1)), generator)
        things, styles = rows // len(STYLES), rows % len(STYLES)
        sure = F.one_hot(things, self._names).float(), F.one_hot(styles, len(STYLES)).float()
        return Lesson(images, *sure, grounds)

    def _drawings(self, generator: torch.Generator) -> Lesson:
        """Moved a little, every second one roughened."""
        rows = torch.randint(len(self._drawn.images), (DRAWN,), generator=generator)
        images, things, styles, grounds = (part[rows] for part in vars(self._drawn).values())
        images = move(images.float() / 127.5 - 1, generator)
        is_rough = torch.rand(DRAWN, generator=generator) < 0.5
        images = torch.where(is_rough[:, None, None, None], roughen(images, generator), images)
        return Lesson(images, things, styles, grounds)


@torch.no_grad()
def _read_by_others(files: Sequence[Path], work: Path) -> Lesson:
    """What other readers see in drawings; the pictures as levels, uint8."""
    readers = load_readers(work, OTHER_SEEDS)
    pixels = np.stack([np.asarray(Image.open(file).convert("RGB")) for file in files])
    levels = torch.from_numpy(pixels).movedim(-1, 1)
    things, styles = [], []
    for part in levels.split(256):
        images = part.float() / 127.5 - 1
        things.append(readers.judge(images.to(device())).float().cpu().softmax(dim=1))
        styles.append(readers.styles(images))
    grounds = torch.tensor([list(BACKGROUNDS).index(background_of(picture)) for picture in pixels])
    return Lesson(levels, torch.cat(things), torch.cat(styles), grounds)
