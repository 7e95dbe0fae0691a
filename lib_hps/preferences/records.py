"""What every reader of preferences gives: an answer of one rater about pictures of a prompt, or a broken row."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lib_hps.errors import InputError, StorageError
from lib_hps.ranking import Ranking


@dataclass(frozen=True)
class Picture:
    """A picture on disk, or one that came inside a table.

    Attributes:
        path: the file; for a picture inside a table, the table's.
        content: the encoded picture where it has no file of its own (Pick-a-Pic keeps JPEGs in parquet).
        name: as the data set names it, for messages and exports.
    """

    path: Path
    content: bytes | None = None
    name: str = ""

    def read(self) -> bytes:
        """The encoded picture.

        Raises:
            StorageError: the file is missing or cannot be read.
        """
        if self.content is not None:
            return self.content
        try:
            return self.path.read_bytes()
        except OSError as error:
            raise StorageError(f"Cannot read the picture {self.path}: {error.strerror}.") from error

    def digest(self) -> str:
        """SHA-256 of the content, hex digits: the same picture has the same wherever it lies."""
        return hashlib.sha256(self.read()).hexdigest()


@dataclass(frozen=True)
class Record:
    """One answer.

    Attributes:
        id: unique within its data set.
        prompt: that all pictures were made for.
        pictures: in the order in which they were shown, where that is known.
        ranking: over `pictures`.
        rater: stands for the person, "" where unknown; never a name.
        source: file and row, for messages.
        extra: other fields of the row (time, model, settings, recipes, seed), kept through import and export.

    Raises:
        InputError: pictures and ranking do not have the same count.
    """

    id: str
    prompt: str
    pictures: tuple[Picture, ...]
    ranking: Ranking
    rater: str = ""
    source: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.pictures) != self.ranking.count:
            raise InputError(
                f"{self.source or self.id}: {len(self.pictures)} pictures, but an answer about {self.ranking.count}."
            )


@dataclass(frozen=True)
class BrokenRow:
    """A row that cannot be used: reported and left out, never fatal, never silent."""

    file: Path
    row: int
    reason: str

    def __str__(self) -> str:
        return f"{self.file}, row {self.row}: {self.reason}"
