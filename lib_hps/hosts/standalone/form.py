"""The page's form as plain functions: values in, a job out; a picture's settings in, values out."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping
from typing import TypeVar

from lib_hps.diffusion.request import LARGEST_SEED, GenerationRequest
from lib_hps.diffusion.samplers import SAMPLERS
from lib_hps.errors import InputError
from lib_hps.hosts.standalone.studio import Job

_N = TypeVar("_N", int, float)


def make_job(
    prompt: str,
    negative: str,
    steps: float,
    sampler: str,
    cfg: float,
    size: str,
    seed: float,
    batch_size: float,
    count: float,
    keep: float,
    scorer: str,
) -> Job:
    """The form's values, in the form's order, as a job; a negative seed is drawn by lot.

    Raises:
        InputError: a value that cannot be; named.
    """
    width, height = parse_size(size)
    for name, value in (
        ("steps", steps),
        ("seed", seed),
        ("batch size", batch_size),
        ("candidates", count),
        ("keep", keep),
    ):
        if value is None or value != int(value):
            raise InputError(f"{name} is {value!r}; give a whole number.")
    chosen = int(seed) if seed >= 0 else random.SystemRandom().randint(0, LARGEST_SEED)
    request = GenerationRequest(
        prompt=prompt or "",
        negative=negative or "",
        steps=int(steps),
        sampler=sampler,
        cfg=float(cfg),
        width=width,
        height=height,
        seed=chosen,
        batch_size=min(int(batch_size), int(count)),
        count=int(count),
    )
    return Job(request, keep=min(int(keep), int(count)), scorer=scorer)


def sizes(side_px: int) -> list[str]:
    """Sizes to offer for a model that was trained at `side_px`."""
    if side_px < 256:
        pairs = [
            (side_px, side_px),
            (side_px * 3 // 2, side_px),
            (side_px, side_px * 3 // 2),
            (side_px * 2, side_px * 2),
        ]
    else:
        wide, tall = side_px * 3 // 2 // 64 * 64, side_px * 5 // 6 // 64 * 64
        pairs = [(side_px, side_px), (wide, side_px), (side_px, wide), (wide, tall), (tall, wide)]
    return [f"{width} x {height}" for width, height in pairs]


def parse_size(text: str) -> tuple[int, int]:
    """ "512 x 768" as width and height in pixels.

    Raises:
        InputError: not two numbers.
    """
    match = re.fullmatch(r"\s*(\d{1,5})\s*[x×*, ]\s*(\d{1,5})\s*", str(text))
    if not match:
        raise InputError(f"The size is {text!r}; write width x height in pixels, such as 512 x 768.")
    return int(match[1]), int(match[2])


def form_values(settings: Mapping[str, str]) -> tuple[int | None, str | None, float | None, str | None, int | None]:
    """Steps, sampler, CFG, size and seed of an infotext; None for what it lacks or the form does not offer."""
    karras = f"{settings.get('Sampler', '')} {settings.get('Schedule type', '')}"
    sampler = karras if karras in SAMPLERS else settings.get("Sampler")
    size = settings.get("Size", "").replace("x", " x ")
    return (
        _number(settings.get("Steps"), int),
        sampler if sampler in SAMPLERS else None,
        _number(settings.get("CFG scale"), float),
        size if re.fullmatch(r"\d+ x \d+", size) else None,
        _number(settings.get("Seed"), int),
    )


def _number(text: str | None, kind: Callable[[str], _N]) -> _N | None:
    try:
        return None if text is None else kind(text)
    except ValueError:
        return None
