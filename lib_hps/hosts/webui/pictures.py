"""A generated picture with all that belongs to it, and how it comes out of what the WebUI returns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from modules import processing, shared
from PIL import Image

from lib_hps.infotext import quote
from lib_hps.rerank import rank_text, score_text

from .notes import RoundNotes
from .options import SCORER_KEY


@dataclass
class Picture:
    """One candidate.

    Attributes:
        p: the processing object that made it; names files and is handed to other extensions when it is saved.
        position: among all pictures of the run, in the order of generation.
        extras: masks and composites that the WebUI returns beside an inpainted picture.
        is_incomplete: Interrupt or Skip cut it short; it is shown, but not judged.
        place: rank among all judged pictures of the run, `2/8`.
    """

    image: Image.Image
    infotext: str
    prompt: str
    negative: str
    seed: int
    subseed: int
    p: Any
    position: int
    extras: list[Image.Image] = field(default_factory=list)
    is_incomplete: bool = False
    score: float | None = None
    place: str = ""

    @property
    def label(self) -> str:
        """`2/8  0.2731`, or "" without a score."""
        return f"{self.place}  {score_text(self.score)}" if self.score is not None else ""


@dataclass(frozen=True)
class Round:
    """What one `process_images` gave.

    Attributes:
        additions: pictures that other extensions added behind the generated ones (control maps, for instance).
        failure: what ended the round before its time.
    """

    pictures: list[Picture]
    additions: list[Image.Image] = field(default_factory=list)
    failure: Exception | None = None


def read_round(processed: Any, p: Any, notes: RoundNotes, *, first_position: int) -> Round:
    """The pictures in one `Processed`: the grid is left out, masks stay with their picture, the rest are additions."""
    images = list(processed.images[processed.index_of_first_image :])
    infotexts = list(processed.infotexts[processed.index_of_first_image :])
    count = len(notes.finals) or len(infotexts)  # a host without our hooks: infotexts exist for pictures only
    stride = _stride(p)
    if count * stride > len(images):
        stride, count = 1, min(count, len(images))
    places = _places(images, notes.final_images(), count, stride)
    ends = [*places[1:], min(places[-1] + stride, len(images))] if places else []
    pictures = [
        _picture(p, notes, images[at], infotexts[min(i, len(infotexts) - 1)], i, first_position)
        for i, at in enumerate(places)
    ]
    for picture, start, end in zip(pictures, places, ends, strict=True):
        picture.extras = images[start + 1 : end]
    additions = images[ends[-1] :] if ends else images
    return Round(pictures, [*additions, *(getattr(processed, "extra_images", None) or ())])


def rescue_round(p: Any, notes: RoundNotes, failure: Exception, *, first_position: int) -> Round:
    """The pictures that were finished before `process_images` failed: the twin saw each of them pass."""
    pictures = []
    for i, image in enumerate(notes.final_images()):
        infotext = processing.create_infotext(
            p, p.all_prompts, p.all_seeds, p.all_subseeds, index=i, all_negative_prompts=p.all_negative_prompts
        )
        if shared.opts.enable_pnginfo:
            image.info["parameters"] = infotext
        pictures.append(_picture(p, notes, image, infotext, i, first_position))
    return Round(pictures, failure=failure)


def _stride(p: Any) -> int:
    """How many images the WebUI returns for one picture: beside an inpainted one its mask and composite, if wanted."""
    if getattr(p, "mask_for_overlay", None) is None:
        return 1
    return 1 + sum(bool(getattr(shared.opts, name, False)) for name in ("return_mask", "return_mask_composite"))


def _places(images: Sequence[Any], finals: Sequence[Any], count: int, stride: int) -> list[int]:
    """Where the pictures are among `images`: found again by identity, else (an extension changed one) by counting."""
    found = {id(image): i for i, image in enumerate(images)}
    known = [found[id(final)] for final in finals if id(final) in found]
    if len(known) == count and known == sorted(known):
        return known
    return [i * stride for i in range(count)]


def _picture(p: Any, notes: RoundNotes, image: Any, infotext: str, i: int, first_position: int) -> Picture:
    def of(values: Sequence[Any]) -> Any:
        return values[min(i, len(values) - 1)]

    return Picture(
        image=image,
        infotext=infotext,
        prompt=of(p.all_prompts),
        negative=of(p.all_negative_prompts),
        seed=of(p.all_seeds),
        subseed=of(p.all_subseeds),
        p=p,
        position=first_position + i,
        is_incomplete=i // p.batch_size in notes.incomplete,
    )


def write_score(picture: Picture, *, scorer: str, rank: int, total: int) -> None:
    """Add `HPS: 0.2731, HPS scorer: hps-v2.1, HPS rank: 2/8` to the picture's infotext, where they are not yet."""
    if picture.score is None:
        return
    words = [f"HPS: {score_text(picture.score)}"]
    if f"{SCORER_KEY}: " not in picture.infotext:
        words.append(f"{SCORER_KEY}: {quote(scorer)}")
    picture.place = rank_text(rank, total)
    words.append(f"HPS rank: {picture.place}")
    picture.infotext = f"{picture.infotext}, {', '.join(words)}"
    if "parameters" in picture.image.info:
        picture.image.info["parameters"] = picture.infotext
