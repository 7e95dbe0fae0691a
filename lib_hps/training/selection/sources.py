"""Pictures with captions: generated ones, captioned folders, JSONL files, DiffusionDB."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

from lib_hps.errors import InputError
from lib_hps.infotext import read_generation
from lib_hps.training.selection.diffusiondb import prompts_of

_SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".avif", ".bmp"}
_ROWS_OF_A_FOLDER = "metadata.jsonl"  # of the image folders of Hugging Face's datasets


def captioned(source: Path, *, report: Callable[[str], None]) -> Iterator[tuple[Path, str]]:
    """(picture, caption) of a folder, of a JSONL file (file or file_name; caption, text or prompt), or of a table.

    In a folder the caption is the `.txt` beside the picture, else what a `metadata.jsonl` or DiffusionDB's tables and
    parts in the folder say, else its infotext's prompt. What has none is reported.

    Args:
        source: a folder; a `.jsonl`; DiffusionDB's `.parquet`, with the pictures in its folder or below.
        report: is told what is left out.

    Raises:
        InputError: there is no such folder or file, or a line is damaged.
    """
    if source.is_file() and source.suffix.lower() != ".parquet":
        yield from _rows(source)
        return
    folder = source.parent if source.is_file() else source
    if not folder.is_dir():
        raise InputError(f"There is no folder {folder}.")
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _SUFFIXES)
    known = prompts_of(folder, {file.name for file in files}, report=report)
    rows = folder / _ROWS_OF_A_FOLDER
    listed = {file.resolve(): caption for file, caption in _rows(rows)} if rows.is_file() else {}
    for file in files:
        try:
            caption = _beside(file) or listed.get(file.resolve()) or known.get(file.name) or _own(file)
        except InputError as error:
            report(str(error))
            continue
        if caption:
            yield file, caption
        else:
            report(f"{file} has neither a caption in {file.stem}.txt nor a prompt in its infotext; left out.")


def _beside(file: Path) -> str:
    beside = file.with_suffix(".txt")
    if not beside.is_file():
        return ""
    try:
        return beside.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{beside} cannot be read ({error}).") from error


def _own(file: Path) -> str:
    found = read_generation(file)
    return found.prompt.strip() if found else ""


def _rows(path: Path) -> Iterator[tuple[Path, str]]:
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"Cannot read {path}: {error}.") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            file = row.get("file") or row["file_name"]
            caption = row.get("caption") or row.get("text") or row["prompt"]
            yield path.parent / str(file), str(caption)
        except (ValueError, KeyError, AttributeError) as error:
            raise InputError(f"Line {number} of {path} has no file and caption ({error}).") from error
