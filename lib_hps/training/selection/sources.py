"""Where pictures with prompts come from: folders, captioned folders, and the model itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lib_hps.errors import InputError
from lib_hps.files import atomic_write
from lib_hps.infotext import png_info, read_generation

if TYPE_CHECKING:
    from lib_hps.diffusion.pipeline import Pipeline

_SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".avif", ".bmp"}


def captioned(folder: Path, *, report: Callable[[str], None]) -> Iterator[tuple[Path, str]]:
    """(picture, caption) of a folder or of a JSONL file of file or file_name, and caption, text or prompt.

    In a folder the caption is the `.txt` beside the picture, else its infotext's prompt. What has none is reported.

    Raises:
        InputError: there is no such folder or file, or a line is damaged.
    """
    if folder.is_file():
        yield from _rows(folder)
        return
    if not folder.is_dir():
        raise InputError(f"There is no folder {folder}.")
    for file in sorted(path for path in folder.rglob("*") if path.suffix.lower() in _SUFFIXES):
        try:
            caption = _caption(file)
        except InputError as error:
            report(str(error))
            continue
        if caption:
            yield file, caption
        else:
            report(f"{file} has neither a caption in {file.stem}.txt nor a prompt in its infotext; left out.")


def _caption(file: Path) -> str:
    beside = file.with_suffix(".txt")
    if beside.is_file():
        try:
            return beside.read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{beside} cannot be read ({error}).") from error
    found = read_generation(file)
    return found.prompt.strip() if found else ""


def _rows(path: Path) -> Iterator[tuple[Path, str]]:
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            file = row.get("file") or row["file_name"]
            caption = row.get("caption") or row.get("text") or row["prompt"]
            yield path.parent / str(file), str(caption)
        except (ValueError, KeyError, AttributeError) as error:
            raise InputError(f"Line {number} of {path} has no file and caption ({error}).") from error


def draw(
    pipeline: Pipeline,
    prompts: Sequence[str],
    seeds: int,
    folder: Path,
    *,
    steps: int = 20,
    cfg: float = 7.0,
    sampler: str = "DPM++ 2M Karras",
    on_picture: Callable[[], object] = lambda: None,
) -> None:
    """Draw `seeds` pictures of each prompt into `folder`; what is there already is not drawn again.

    Raises:
        StorageError: the folder cannot be written.
    """
    from lib_hps.diffusion.request import GenerationRequest

    side = pipeline.native_side_px
    for number, prompt in enumerate(prompts):
        for seed in range(seeds):
            file = folder / f"{number:05d}" / f"{seed:03d}.png"
            known = read_generation(file) if file.is_file() else None
            if known is None or known.prompt != prompt:
                request = GenerationRequest(
                    prompt, steps=steps, cfg=cfg, sampler=sampler, width=side, height=side, seed=1000 * number + seed
                )
                picture = next(pipeline.generate(request))
                with atomic_write(file) as stream:
                    picture.image.save(stream, "PNG", pnginfo=png_info(picture.infotext()))
            on_picture()
