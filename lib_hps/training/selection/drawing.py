"""Drawing pictures of prompts into a folder, on our own pipeline or through a WebUI; a killed run goes on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from lib_hps.errors import InputError
from lib_hps.files import atomic_write
from lib_hps.infotext import png_info, read_generation

if TYPE_CHECKING:
    from PIL.Image import Image

    from lib_hps.diffusion.pipeline import Pipeline

_MARK = "drawn.json"


@dataclass(frozen=True)
class Look:
    """What all pictures of a folder share.

    Attributes:
        negative: prompt.
        steps: of the sampler.
        cfg: guidance scale.
        sampler: its name.
        side_px: of the squares; None for the model's own.
    """

    negative: str = ""
    steps: int = 20
    cfg: float = 7.0
    sampler: str = "DPM++ 2M Karras"
    side_px: int | None = None


class Artist(Protocol):
    """Who draws."""

    @property
    def facts(self) -> Mapping[str, str]:
        """What its pictures depend on besides the look: the model."""

    def draw(self, prompt: str, seed: int, look: Look) -> tuple[Image, str]:
        """A picture and its infotext."""


class PipelineArtist:
    """Our own pipeline."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline

    @property
    def facts(self) -> Mapping[str, str]:
        """See `Artist`."""
        return {"checkpoint": self._pipeline.name, "checkpoint hash": self._pipeline.model_hash}

    def draw(self, prompt: str, seed: int, look: Look) -> tuple[Image, str]:
        """See `Artist`."""
        from lib_hps.diffusion.request import GenerationRequest

        side = look.side_px or self._pipeline.native_side_px
        request = GenerationRequest(
            prompt,
            look.negative,
            steps=look.steps,
            cfg=look.cfg,
            sampler=look.sampler,
            width=side,
            height=side,
            seed=seed,
        )
        picture = next(self._pipeline.generate(request))
        return picture.image, picture.infotext()


def read_prompts(path: Path) -> list[str]:
    """One prompt a line.

    Raises:
        InputError: it cannot be read, or is empty.
    """
    try:
        found = [line.strip() for line in path.read_text("utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"Cannot read {path}: {error}.") from error
    if not found:
        raise InputError(f"{path} has no prompts. Write one a line.")
    return found


def check_folder(folder: Path, look: Look, facts: Mapping[str, str]) -> None:
    """What lies in `folder` was drawn as now; a new folder is marked so.

    Raises:
        InputError: it was drawn otherwise, or nobody knows how.
    """
    mine: dict[str, Any] = {**asdict(look), **facts}
    file = folder / _MARK
    if file.is_file():
        theirs = json.loads(file.read_text("utf-8"))
        other = next((key for key, value in mine.items() if theirs.get(key) != value), None)
        if other is not None:
            raise InputError(
                f"The pictures in {folder} were drawn with {other} = {theirs.get(other)!r}, now it is {mine[other]!r}. "
                "Keep the settings, give another folder, or delete that one to draw anew."
            )
        return
    if folder.is_dir() and any(folder.rglob("*.png")):
        raise InputError(f"{folder} holds pictures that were drawn by something else. Give another folder.")
    with atomic_write(file, "w") as stream:
        json.dump(mine, stream, indent=2)


def draw_all(
    artist: Artist,
    prompts: Sequence[str],
    seeds: int,
    folder: Path,
    look: Look,
    *,
    on_picture: Callable[[], object] = lambda: None,
) -> Iterator[tuple[str, int, Path]]:
    """Draw `seeds` pictures of each prompt into `folder`; what is there already is not drawn again.

    Returns:
        (prompt, seed, file) as they are there.

    Raises:
        InputError: the folder's pictures were drawn otherwise.
        StorageError: the folder cannot be written.
    """
    check_folder(folder, look, artist.facts)
    for number, prompt in enumerate(prompts):
        for place in range(seeds):
            file, seed = folder / f"{number:05d}" / f"{place:03d}.png", 1000 * number + place
            if not _is_drawn(file, prompt):
                image, infotext = artist.draw(prompt, seed, look)
                with atomic_write(file) as stream:
                    image.save(stream, "PNG", pnginfo=png_info(infotext))
            on_picture()
            yield prompt, seed, file


def _is_drawn(file: Path, prompt: str) -> bool:
    known = read_generation(file) if file.is_file() else None
    return known is not None and known.prompt == prompt
