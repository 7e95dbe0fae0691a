"""What is asked for and what comes back: plain data, checked when it is built."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lib_hps.diffusion.samplers import SAMPLERS, check_sampler
from lib_hps.errors import InputError
from lib_hps.infotext import format_infotext

if TYPE_CHECKING:
    from PIL.Image import Image

LARGEST_SEED = 2**32 - 1  # the WebUI's range
_FACTOR = 8  # pixels per latent cell


@dataclass(frozen=True)
class GenerationRequest:
    """One job of text to image.

    Attributes:
        prompt: WebUI syntax for emphasis and BREAK is understood.
        negative: what to stay away from.
        steps: sampler steps, 1 to 1000.
        sampler: a name of `samplers.SAMPLERS`.
        cfg: guidance scale; 1 switches the negative prompt off.
        width: pixels, a multiple of 8.
        height: pixels, a multiple of 8.
        seed: of the first picture; picture i has seed + i.
        batch_size: pictures drawn at once.
        count: pictures altogether ("candidates").

    Raises:
        InputError: a value out of its range, named.
    """

    prompt: str
    negative: str = ""
    steps: int = 20
    sampler: str = "DPM++ 2M Karras"
    cfg: float = 7.0
    width: int = 512
    height: int = 512
    seed: int = 0
    batch_size: int = 1
    count: int = 1

    def __post_init__(self) -> None:
        check_sampler(self.sampler)
        for name, lowest, highest in (
            ("steps", 1, 1000),
            ("width", 16, 8192),
            ("height", 16, 8192),
            ("seed", 0, LARGEST_SEED),
            ("batch_size", 1, 64),
            ("count", 1, 10_000),
        ):
            value = getattr(self, name)
            if not isinstance(value, int) or not lowest <= value <= highest:
                raise InputError(f"{name} is {value!r}; give a whole number from {lowest} to {highest}.")
        for name in ("width", "height"):
            if getattr(self, name) % _FACTOR:
                raise InputError(f"{name} is {getattr(self, name)}; give a multiple of {_FACTOR}.")
        if not math.isfinite(self.cfg) or not 0 <= self.cfg <= 100:
            raise InputError(f"cfg is {self.cfg!r}; give a number from 0 to 100.")

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seed of every picture; they wrap round at 2^32."""
        return tuple((self.seed + index) % (LARGEST_SEED + 1) for index in range(self.count))


@dataclass(frozen=True)
class Picture:
    """One finished picture.

    Attributes:
        image: RGB.
        index: 0-based position in the job.
        seed: of its noise.
        settings: infotext parameters, to which a host may add (score, rank).
    """

    image: Image
    index: int
    seed: int
    prompt: str
    negative: str
    settings: Mapping[str, object | None] = field(default_factory=dict)

    def infotext(self, **extra: object | None) -> str:
        """The WebUI's text, with `extra` parameters before "Version" (underscores in names become spaces)."""
        from lib_hps import __version__

        more = {name.replace("_", " "): value for name, value in extra.items()}
        settings = {**self.settings, **more, "Version": f"sd-webui-hps {__version__}"}
        return format_infotext(self.prompt, negative=self.negative, settings=settings)


@dataclass(frozen=True)
class Progress:
    """A look at a running job after one sampler step.

    Attributes:
        first: index of the batch's first picture; pictures before it are finished.
        size: pictures in this batch.
        step: steps done in this batch, from 1.
        steps: steps of a batch.
        count: pictures of the job.
        preview: draws the batch as it looks now, small and cheap; call it only if it is shown.
    """

    first: int
    size: int
    step: int
    steps: int
    count: int
    preview: Callable[[], list[Image]]

    @property
    def fraction(self) -> float:
        """Share of the job that is done, 0 to 1."""
        return (self.first + self.size * self.step / self.steps) / self.count


def infotext_settings(
    request: GenerationRequest, *, seed: int, model: str, model_hash: str
) -> dict[str, object | None]:
    """The parameters of one picture in the WebUI's names and order."""
    schedule = SAMPLERS[request.sampler][1]
    return {
        "Steps": request.steps,
        "Sampler": request.sampler.removesuffix(" Karras"),
        "Schedule type": schedule or "Automatic",
        "CFG scale": int(request.cfg) if float(request.cfg).is_integer() else request.cfg,
        "Seed": seed,
        "Size": f"{request.width}x{request.height}",
        "Model hash": model_hash,
        "Model": model,
        "RNG": "CPU",
    }
