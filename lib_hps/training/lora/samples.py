"""Looking at what is being learned: base and adapted on the same seeds, scored by two judges."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lib_hps.errors import HpsError
from lib_hps.files import atomic_write
from lib_hps.training.lora.config import NEGATIVE_TEXT
from lib_hps.training.lora.curves import write_curves

if TYPE_CHECKING:
    from PIL.Image import Image

    from lib_hps.diffusion.pipeline import Pipeline
    from lib_hps.scoring import Scorer
    from lib_hps.training.lora.adapter import Adapter

log = logging.getLogger(__name__)

_FIRST_SEED = 20_000
_THUMB_PX = 160
BASE, ADAPTED, WITH_NEGATIVE = "base", "adapted", "adapted, negative"


@dataclass(frozen=True)
class SamplePlan:
    """What is drawn.

    Attributes:
        prompts: that nothing is trained on.
        seeds: pictures of each.
        has_negative: draw the adapted model with "Weird image. " as the negative prompt as well; this is then what is
            compared with the base.
    """

    prompts: Sequence[str]
    seeds: int
    steps: int
    cfg: float
    side_px: int
    has_negative: bool


class Samples:
    """Draws, scores, and writes `samples/<step>.png` and `curves.html`.

    Args:
        pipeline: over the modules that are trained.
        adapter: to switch off for the base's pictures.
        plan: what is drawn.
        scorers: the training scorer and the held-out one, either may be missing.
        folder: of the run.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        adapter: Adapter,
        plan: SamplePlan,
        scorers: dict[str, Scorer],
        folder: Path,
    ) -> None:
        self._pipeline, self._adapter, self._plan = pipeline, adapter, plan
        self._scorers, self._folder = scorers, folder
        self._base: list[Image] = []
        self._base_scores: dict[str, list[float]] = {}

    def __call__(self) -> dict[str, float]:
        """Figures of the present weights: "<judge> gain" is the mean over pictures of adapted minus base.

        "value" is the held-out gain where there is a held-out scorer.
        """
        if not self._base:
            with self._adapter.off():
                self._base = self.draw("")
            self._base_scores = self._scored(self._base)
        rows = {BASE: self._base, ADAPTED: self.draw("")}
        if self._plan.has_negative:
            rows[WITH_NEGATIVE] = self.draw(NEGATIVE_TEXT)
        figures: dict[str, float] = {}
        for name, pictures in list(rows.items())[1:]:
            for judge, scores in self._scored(pictures).items():
                gains = [a - b for a, b in zip(scores, self._base_scores[judge], strict=True)]
                figures[f"{judge} gain, {name}"] = sum(gains) / len(gains)
        best = WITH_NEGATIVE if self._plan.has_negative else ADAPTED
        if f"held-out gain, {best}" in figures:
            figures["value"] = figures[f"held-out gain, {best}"]
        norms = self._adapter.norms()
        figures["mean norm"] = sum(norms) / len(norms)
        self._write(rows)
        return figures

    @property
    def prompts(self) -> Sequence[str]:
        """Of the plan, at least one."""
        return self._plan.prompts

    def preview(self) -> Image:
        """One picture of the model as it is, for the LoRA's card."""
        return next(self._drawn(self._plan.prompts[:1], 1, NEGATIVE_TEXT if self._plan.has_negative else ""))

    def draw(self, negative: str) -> list[Image]:
        """The plan's pictures from the model as it is."""
        return list(self._drawn(self._plan.prompts, self._plan.seeds, negative))

    def _drawn(self, prompts: Sequence[str], seeds: int, negative: str) -> Iterator[Image]:
        from lib_hps.diffusion.request import GenerationRequest

        plan = self._plan
        for number, prompt in enumerate(prompts):
            request = GenerationRequest(
                prompt,
                negative,
                steps=plan.steps,
                cfg=plan.cfg,
                width=plan.side_px,
                height=plan.side_px,
                seed=_FIRST_SEED + 100 * number,
                count=seeds,
                batch_size=min(seeds, 8) if plan.side_px <= 256 else 1,
            )
            for picture in self._pipeline.generate(request):
                yield picture.image

    def _scored(self, pictures: Sequence[Image]) -> dict[str, list[float]]:
        prompts = [prompt for prompt in self._plan.prompts for _ in range(self._plan.seeds)]
        return {judge: scorer.score(list(pictures), prompts).tolist() for judge, scorer in self._scorers.items()}

    def _write(self, rows: dict[str, list[Image]]) -> None:
        folder = self._folder / "samples"
        number = len(list(folder.glob("*.png"))) if folder.is_dir() else 0
        try:
            with atomic_write(folder / f"{number:04d}.png") as stream:
                sheet(list(rows.values())).save(stream, "PNG")
            write_curves(self._folder)
        except HpsError as error:  # a full disk should not end a training
            log.warning("The samples were not written: %s", error)


def sheet(rows: Sequence[Sequence[Image]]) -> Image:
    """Pictures in rows and columns, each at most 160 px wide, tiny ones enlarged."""
    from PIL import Image as PIL

    largest = max(max(picture.size) for row in rows for picture in row)
    factor = _THUMB_PX / largest
    wide, high = (round(max(p.size[axis] for row in rows for p in row) * factor) for axis in (0, 1))
    page = PIL.new("RGB", (max(len(row) for row in rows) * wide, len(rows) * high), "white")
    for down, row in enumerate(rows):
        for across, picture in enumerate(row):
            small = picture.resize(
                (round(picture.width * factor), round(picture.height * factor)), PIL.Resampling.LANCZOS
            )
            page.paste(small, (across * wide, down * high))
    return page
