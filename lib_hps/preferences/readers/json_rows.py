"""Rows of a JSON list of any length, or of JSON lines, one at a time."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

from lib_hps.errors import InputError, StorageError
from lib_hps.preferences.readers.source import RowError, Source, list_of, text_of
from lib_hps.preferences.records import BrokenRow, Record
from lib_hps.ranking import Ranking

_CHUNK, _MOST_CHARACTERS = 1 << 18, 1 << 26
_SPACE = " \t\r\n"


def json_rows(path: Path) -> Iterator[tuple[int, Any]]:
    """Give (number from 1, row); a row that is no JSON is a BrokenRow. Holds one row and a chunk of text.

    Inside a list, damage ends the reading: where the next row begins cannot be known. The last BrokenRow says so.

    Raises:
        StorageError: the file cannot be read.
    """
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as stream:
            begin = _beginning(stream)
            if begin.startswith("["):
                yield from _list_rows(path, begin[1:], stream)
            else:
                stream.seek(0)
                yield from _line_rows(path, stream)
    except OSError as error:
        raise StorageError(f"Cannot read {path}: {error.strerror}.") from error


def json_records(
    source: Source, files: Iterable[Path], record_of: Callable[[Any, Source, int], Record | BrokenRow]
) -> Iterator[Record | BrokenRow]:
    """Every row of those files that are there."""
    for file in files:
        if file.is_file():
            for number, row in json_rows(file):
                yield record_of(row, replace(source, path=file), number)


def choice_row(
    row: Any,
    source: Source,
    number: int,
    *,
    ranking: Callable[[Mapping[str, Any], int], Ranking],
    pictures: Collection[str],
    folders: Collection[str] = (),
    own: Collection[str],
) -> Record | BrokenRow:
    """A row of one choice.

    Args:
        row: as it was read.
        source: the row's file.
        number: of the row.
        ranking: of the row's so many pictures; may raise RowError.
        pictures: the field that names them, or its names in the order they are looked for.
        folders: to look for the pictures in after the data set's own.
        own: fields that the record holds itself; all others are kept in `extra`.
    """
    if isinstance(row, BrokenRow):
        return row
    try:
        if not isinstance(row, Mapping):
            raise RowError(f"{str(row)[:40]!r} is no object with fields.")
        names = list_of(row, *pictures)
        return Record(
            id=str(row["id"]) if "id" in row else f"{source.path.name}/{number}",
            prompt=text_of(row, "prompt"),
            pictures=source.pictures(names, *folders),
            ranking=ranking(row, len(names)),
            rater=str(row.get("user_hash") or ""),
            source=f"{source.path}, row {number}",
            extra={key: value for key, value in row.items() if key not in own},
        )
    except (RowError, InputError) as error:
        return BrokenRow(source.path, number, str(error))


def ranking_by(row: Mapping[str, Any], name: str, count: int, *, sign: int) -> Ranking:
    """A ranking from one number for each picture.

    Args:
        row: with the list `name`.
        name: of the field.
        count: of pictures.
        sign: 1 where higher is better, -1 where lower is.

    Raises:
        RowError: another count, or something that is no number.
    """
    values = list_of(row, name)
    if len(values) != count:
        raise RowError(f"{name} has {len(values)} numbers for {count} pictures.")
    for value in values:
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            raise RowError(f"{name} has {value!r}, which is no number.")
    return Ranking.from_scores(sign * value for value in values)


def first_row(path: Path) -> dict[str, Any]:
    """The first row that is an object, to recognise a layout by; {} where there is none near the beginning."""
    try:
        for number, row in json_rows(path):
            if isinstance(row, dict):
                return row
            if number >= 20:
                break
    except StorageError:
        pass
    return {}


def _beginning(stream: IO[str]) -> str:
    """The first chunk that is more than space, without the space before it."""
    while chunk := stream.read(_CHUNK):
        if text := chunk.lstrip(_SPACE):
            return text
    return ""


def _line_rows(path: Path, stream: IO[str]) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(stream, 1):
        if not line.strip():
            continue
        try:
            yield number, json.loads(line)
        except (ValueError, RecursionError) as error:
            torn = " It was cut off while it was written." if not line.endswith("\n") else ""
            yield number, BrokenRow(path, number, f"This line is no JSON ({error}).{torn}")


def _list_rows(path: Path, buffer: str, stream: IO[str]) -> Iterator[tuple[int, Any]]:
    """See `json_rows`: decode at the front of a buffer that is filled as needed, each time with twice as much."""
    decode = json.JSONDecoder().raw_decode
    at, number, want, is_over = 0, 1, _CHUNK, False
    while True:
        while at < len(buffer) and buffer[at] in _SPACE:
            at += 1
        if at < len(buffer) and buffer[at] == "]" and number == 1:
            return
        problem = "the file ends before the list does"
        try:
            row, end = decode(buffer, at)
            while end < len(buffer) and buffer[end] in _SPACE:
                end += 1
            if end < len(buffer) and buffer[end] in ",]":
                yield number, row
                if buffer[end] == "]":
                    return
                number, at, want = number + 1, end + 1, _CHUNK
                continue
            if end < len(buffer):
                problem, is_over = f"after it comes {buffer[end : end + 20]!r}", True
        except (ValueError, RecursionError) as error:
            problem = str(error) if len(buffer) - at > 1 else problem
        more = "" if is_over or want > _MOST_CHARACTERS else stream.read(want)
        if not more:
            reason = f"From here on this is no JSON list ({problem}); this row and all after it are not read."
            yield number, BrokenRow(path, number, reason)
            return
        buffer, at, want = buffer[at:] + more, 0, want * 2
