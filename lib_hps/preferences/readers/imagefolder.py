"""A Hugging Face `datasets` imagefolder as we write it: metadata.jsonl, a row for each choice, and images/."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lib_hps.preferences.readers.align_sd import record_of
from lib_hps.preferences.readers.json_rows import first_row, json_rows
from lib_hps.preferences.readers.source import Source
from lib_hps.preferences.records import BrokenRow, Record

NAME, PICTURES = "metadata.jsonl", "images_file_names"


def recognises(path: Path) -> bool:
    """A folder with our metadata.jsonl, or that file."""
    file = path / NAME if path.is_dir() else path
    return file.name == NAME and file.is_file() and PICTURES in first_row(file)


def read(source: Source) -> Iterator[Record | BrokenRow]:
    """Every row."""
    file = source.path / NAME if source.path.is_dir() else source.path
    for number, row in json_rows(file):
        yield record_of(unpacked(row), Source(file, source.images, source.needs_pictures), number)


def unpacked(row: Any) -> Any:
    """The row in align_sd's names; `extra` is JSON text there, for columns need one type."""
    if not isinstance(row, dict) or PICTURES not in row:
        return row
    import json

    try:
        extra = json.loads(row.get("extra") or "{}")
    except ValueError:
        extra = {}
    names = {key: value for key, value in row.items() if key not in (PICTURES, "extra")}
    return {**names, **extra, "file_path": row[PICTURES]}
