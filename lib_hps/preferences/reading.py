"""Preference data in any known layout, as a stream of records."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

from lib_hps.errors import InputError
from lib_hps.preferences.formats import LAYOUTS
from lib_hps.preferences.readers.source import Source
from lib_hps.preferences.records import BrokenRow, Record

# name -> what it is; a module of `readers` each, tried in this order


def read_records(
    path: Path, *, layout: str | None = None, images: Path | None = None, labels_only: bool = False
) -> Iterator[Record | BrokenRow]:
    """Every row of a data set, one at a time; memory does not grow with the pictures.

    Args:
        path: a file or folder.
        layout: one of LAYOUTS; None recognises it.
        images: the folder that the pictures' names start from, where they do not lie beside the rows.
        labels_only: take rows whose pictures are missing as well.

    Raises:
        InputError: there is nothing, or nothing that is recognised; raised at the call, not at the first row.
        StorageError: a file cannot be read.
    """
    name = layout or layout_of(path)
    if name not in LAYOUTS:
        raise InputError(f"{name!r} is no layout of preference data. Take one of {', '.join(LAYOUTS)}.")
    if not path.exists():
        raise InputError(f"There is no {path}.")
    return _reader(name).read(Source(path, images, needs_pictures=not labels_only))


def layout_of(path: Path) -> str:
    """The layout of a file or folder.

    Raises:
        InputError: there is nothing, or it is none of LAYOUTS.
    """
    if not path.exists():
        raise InputError(f"There is no {path}.")
    for name in LAYOUTS:
        if _reader(name).recognises(path):
            return name
    words = "; ".join(f"{name}: {what}" for name, what in LAYOUTS.items())
    raise InputError(f"{path} is no preference data that is known here. Known are {words}.")


def _reader(name: str) -> ModuleType:
    return import_module(f"lib_hps.preferences.readers.{name}")
