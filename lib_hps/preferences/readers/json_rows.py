"""Rows of a JSON list of any length, or of JSON lines, one at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from lib_hps.errors import StorageError
from lib_hps.preferences.records import BrokenRow

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
