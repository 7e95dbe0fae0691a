"""From a picture's text to the picture: prompt, settings and noise recipe are all that is needed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lib_hps.diffusion.request import GenerationRequest, Picture
from lib_hps.diffusion.second_pass import UPSCALER
from lib_hps.errors import HpsError, InputError
from lib_hps.hosts.standalone.form import form_values, parse_size
from lib_hps.hosts.standalone.rounds import draw_recipe
from lib_hps.infotext import Generation, parse_infotext, read_generation
from lib_hps.noise import NoiseRecipe

if TYPE_CHECKING:
    from lib_hps.diffusion.pipeline import Pipeline

_MOST_TEXT = 1 << 20
_EXTRA = ("HPS noise", "HPS session", "HPS round", "HPS optimizer")


def read_text_or_picture(path: Path) -> Generation:
    """The infotext of a picture, or of a text file that holds one.

    Raises:
        InputError: it is neither, or says nothing of how the picture was made.
    """
    if path.suffix.lower() in (".txt", ""):
        try:
            text = path.read_bytes()[:_MOST_TEXT].decode("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{path} cannot be read as text ({error}). Give a picture or its infotext.") from error
        found: Generation | None = parse_infotext(text)
    else:
        found = read_generation(path)
    if found is None or not found.settings:
        raise InputError(f"{path} does not say how it was made. Give a picture that still has its infotext.")
    return found


def request_from(found: Generation) -> tuple[GenerationRequest, NoiseRecipe]:
    """The request and the initial noise of an infotext; without "HPS noise" it is the seed's own.

    Raises:
        InputError: something is missing or cannot be drawn here; named.
    """
    steps, sampler, cfg, size, seed = form_values(found.settings)
    names = ("Steps", "Sampler", "CFG scale", "Size", "Seed")
    for name, value in zip(names, (steps, sampler, cfg, size, seed), strict=True):
        if value is None:
            raise InputError(f"The infotext's {name} is {found.settings.get(name)!r}; it cannot be drawn from that.")
    if found.settings.get("RNG") != "CPU":
        raise InputError(
            f"The picture's noise came from the source {found.settings.get('RNG', 'GPU')!r}; this host draws CPU noise "
            "alone. Draw it where it was made, or set the WebUI's noise source to CPU."
        )
    width, height = parse_size(str(size))
    request = GenerationRequest(
        prompt=found.prompt,
        negative=found.negative,
        steps=int(steps or 0),
        sampler=str(sampler),
        cfg=float(cfg or 0.0),
        width=width,
        height=height,
        seed=int(seed or 0),
    )
    text = found.settings.get("HPS noise")
    return request, NoiseRecipe.parse(text) if text else NoiseRecipe.single(request.seed)


def render(pipeline: Pipeline, found: Generation) -> tuple[Picture, str]:
    """Draw the picture of an infotext, its second pass included.

    Returns:
        The picture and its infotext.

    Raises:
        InputError: as `request_from`, or a second pass of another kind.
    """
    request, recipe = request_from(found)
    picture = _last(draw_recipe(pipeline, request, recipe))
    second = found.settings.get("Hires resize")
    if second:
        upscaler = found.settings.get("Hires upscaler")
        if upscaler != UPSCALER:
            raise InputError(f"The second pass used the upscaler {upscaler!r}; only {UPSCALER!r} can be drawn here.")
        width, height = parse_size(second)
        strength = float(found.settings.get("Denoising strength", "nan"))
        picture = _last(pipeline.refine(request, picture.image, width=width, height=height, strength=strength))
    extra = {name: found.settings[name] for name in _EXTRA if name in found.settings}
    return picture, picture.infotext(**extra)


def _last(events: object) -> Picture:
    found = None
    for event in events:  # type: ignore[attr-defined]
        found = event if isinstance(event, Picture) else found
    if found is None:
        raise HpsError("Nothing was drawn.")
    return found
