"""A second pass at a larger size, counted in steps and written into infotexts as the WebUI's hires fix does."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from lib_hps.diffusion.request import GenerationRequest
from lib_hps.errors import InputError

if TYPE_CHECKING:
    from PIL.Image import Image

UPSCALER = "Lanczos"
_MOST = 0.999  # A1111: a strength of 1 would begin before the schedule's first step


class SecondPass:
    """What a second pass does, in numbers.

    Attributes:
        first: the request of the first pass.
        request: the same at the new size.
        strength: 0 to 1.
        steps: of the whole schedule, of which the last `first.steps` are walked (A1111's `setup_img2img_steps` with a
            given number of steps, as hires fix calls it).

    Raises:
        InputError: a size or strength that cannot be.
    """

    def __init__(self, first: GenerationRequest, *, width: int, height: int, strength: float) -> None:
        if not math.isfinite(strength) or not 0 <= strength <= 1:
            raise InputError(f"strength is {strength!r}; give a number from 0 to 1.")
        self.first, self.strength = first, strength
        self.request = dataclasses.replace(first, width=width, height=height, count=1, batch_size=1)
        self.steps = int(first.steps / min(strength, _MOST)) if strength else first.steps
        if self.steps > 1000:
            raise InputError(f"A strength of {strength} with {first.steps} steps is too fine. Give at least 0.02.")

    def skipped(self, moves: int) -> int:
        """Steps of the whole schedule's `moves` that are left out, so that `first.steps` remain (one at least).

        -1 near a strength of 1 for DDIM, which has a time step more than moves.
        """
        return min(moves - self.first.steps, moves - 1)

    def enlarged(self, image: Image) -> Image:
        """The first pass's picture at the new size."""
        from PIL import Image as PIL

        size = self.request.width, self.request.height
        return image.convert("RGB") if image.size == size else image.convert("RGB").resize(size, PIL.Resampling.LANCZOS)

    def infotext(self, settings: Mapping[str, object | None]) -> dict[str, object | None]:
        """The first pass's settings with those of hires fix added; "Size" stays that of the first pass, as there."""
        hires = {
            "Denoising strength": f"{self.strength:g}",
            "Hires resize": f"{self.request.width}x{self.request.height}",
            "Hires upscaler": UPSCALER,
        }
        return {**settings, **hires}
