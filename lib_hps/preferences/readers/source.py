"""What all readers share: where a data set lies, its pictures, and the fields of a row."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from lib_hps.preferences.records import Picture


class RowError(Exception):
    """This row cannot be used; the reader gives a BrokenRow with these words."""


class MissingPicture(RowError):
    """There is no such file; the labels are whole."""


@dataclass(frozen=True)
class Source:
    """Where a data set lies.

    Attributes:
        path: a file or a folder.
        images: the folder that the pictures' names start from; None for the data set's own.
        needs_pictures: whether a row without its pictures is broken; False reads the labels alone.
    """

    path: Path
    images: Path | None = None
    needs_pictures: bool = True

    @property
    def folder(self) -> Path:
        """The data set's folder."""
        return self.path if self.path.is_dir() else self.path.parent

    def pictures(self, names: Sequence[object], *below: str) -> tuple[Picture, ...]:
        """All pictures of a row.

        Raises:
            RowError: as `picture`; every missing one is named.
        """
        found, missing = [], []
        for name in names:
            try:
                found.append(self.picture(name, *below))
            except MissingPicture as error:
                missing.append(str(error))
        if missing:
            raise MissingPicture(" ".join(missing))
        return tuple(found)

    def picture(self, name: object, *below: str) -> Picture:
        """The picture that a row names.

        Args:
            name: as it stands in the row.
            below: folders to look in after the data set's own.

        Raises:
            RowError: no name, one that leaves the folder, or no such picture.
        """
        if not isinstance(name, str) or not name:
            raise RowError(f"{name!r} is no name of a picture.")
        parts = re.split(r"[/\\]", name)
        if not parts[0] or ".." in parts or ":" in parts[0] or "\0" in name:
            raise RowError(f"The picture {name!r} lies outside the data folder: its rows may only name files in it.")
        root = str(self.images or self.folder)
        places = [os.path.join(root, *parts), *(os.path.join(root, folder, *parts) for folder in below)]
        found = next((place for place in places if os.path.isfile(place)), None)
        if found is not None and not _is_inside(root, found):
            raise RowError(f"The picture {name!r} is a link out of the data folder. Copy it there, or name its folder.")
        if found is None and self.needs_pictures:
            raise MissingPicture(f"The picture {name} is missing.")
        return Picture(Path(found or places[0]), name=name)


def _is_inside(root: str, path: str) -> bool:
    """Whether a file lies in the folder once all links are followed."""
    real = os.path.realpath(path) if os.path.islink(path) else os.path.join(_real(os.path.dirname(path)), "x")
    return real.startswith(_real(root).rstrip(os.sep) + os.sep)


@lru_cache(maxsize=4096)
def _real(folder: str) -> str:
    return os.path.realpath(folder)


def text_of(row: Mapping[str, Any], *names: str) -> str:
    """The first of these fields that is there, as text.

    Raises:
        RowError: none is there, or it is no text.
    """
    for name in names:
        if name in row:
            if not isinstance(row[name], str):
                raise RowError(f"{name} is {str(row[name])[:40]!r}, not text.")
            return row[name]
    raise RowError(f"There is no {names[0]}.")


def list_of(row: Mapping[str, Any], *names: str) -> list[Any]:
    """The first of these fields that is there, as a list that is not empty.

    Raises:
        RowError: none is there, or it is no list.
    """
    for name in names:
        if name in row:
            if not isinstance(row[name], Sequence) or isinstance(row[name], (str, bytes)) or not len(row[name]):
                raise RowError(f"{name} is {str(row[name])[:40]!r}, not a list of at least one.")
            return list(row[name])
    raise RowError(f"There is no {names[0]}.")
