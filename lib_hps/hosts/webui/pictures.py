"""A generated picture with all that belongs to it, and how it comes out of what the WebUI returns."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, field
from typing import Any

from PIL import Image

from lib_hps.infotext import quote
from lib_hps.rerank import rank_text, score_text

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


def pictures_of(processed: Any, p: Any, *, first_position: int, incomplete_batches: Set[int]) -> list[Picture]:
    """The pictures of one `Processed`, without its grid.

    With masks returned, every picture is followed by its own; infotexts exist for pictures only.
    """
    images = processed.images[processed.index_of_first_image :]
    infotexts = processed.infotexts[processed.index_of_first_image :]
    if not images:
        return []
    stride = max(1, len(images) // len(infotexts))

    def of(values: list[Any], i: int) -> Any:
        return values[min(i, len(values) - 1)]

    return [
        Picture(
            image=images[i * stride],
            infotext=of(infotexts, i),
            prompt=of(p.all_prompts, i),
            negative=of(p.all_negative_prompts, i),
            seed=of(p.all_seeds, i),
            subseed=of(p.all_subseeds, i),
            p=p,
            position=first_position + i,
            extras=images[i * stride + 1 : (i + 1) * stride],
            is_incomplete=i // p.batch_size in incomplete_batches,
        )
        for i in range(len(images) // stride)
    ]


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
