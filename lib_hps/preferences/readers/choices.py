"""Our own folder: choices.jsonl and images/ (see lib_hps/preferences/choices.py)."""

from __future__ import annotations

import hashlib
import json
import re
from array import array
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from lib_hps.errors import StorageError
from lib_hps.preferences.choices import LINES
from lib_hps.preferences.readers.align_sd import record_of
from lib_hps.preferences.readers.source import Source
from lib_hps.preferences.records import BrokenRow, Record

_ID = re.compile(rb'\s*\{\s*"id"\s*:\s*("(?:[^"\\]|\\.)*"|-?\d+)\s*[,}]')


def recognises(path: Path) -> bool:
    """A folder with choices.jsonl, or that file."""
    return (path / LINES).is_file() if path.is_dir() else path.name == LINES


def read(source: Source) -> Iterator[Record | BrokenRow]:
    """The choices that stand: of lines with the same id the last counts, and one that was taken back is none.

    Two passes over the file; 17 bytes for each line are held between them.
    """
    path = source.path / LINES if source.path.is_dir() else source.path
    here = replace(source, path=path)
    counts = _last_of_their_id(path)
    for number, line in _lines(path):
        if number > len(counts):  # written since the first pass
            return
        if not counts[number - 1] or not line.strip():
            continue
        if not line.endswith(b"\n"):
            yield BrokenRow(path, number, "The line ends in its middle: the program was killed while it wrote it.")
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            yield BrokenRow(path, number, f"The line is damaged: it is no JSON ({error}).")
            continue
        if not (isinstance(row, dict) and row.get("retracted")):
            yield record_of(row, here, number)


def _last_of_their_id(path: Path) -> np.ndarray:
    """For each line whether no later one has its id, bool (lines,); a line without an id stands for itself."""
    keys = array("Q", (_key(line, number) for number, line in _lines(path)))
    hashes = np.frombuffer(keys, dtype=np.uint64) if keys else np.zeros(0, np.uint64)
    order = np.argsort(hashes, kind="stable")
    is_last = np.ones(len(hashes), dtype=bool)
    ordered = hashes[order]
    is_last[order[:-1]] = ordered[1:] != ordered[:-1]
    return is_last


def _key(line: bytes, number: int) -> int:
    """64 bits that stand for the line's id; what was cut off stands for itself and hides no whole line."""
    found = _ID.match(line) if line.rstrip(b"\r\n").endswith(b"}") and line.endswith(b"\n") else None
    if found:
        name = str(json.loads(found[1]))
    else:
        try:
            name = str(json.loads(line)["id"])  # our own lines begin with it, others may not
        except (ValueError, KeyError, TypeError, RecursionError):
            name = f"\0line {number}"
    return int.from_bytes(hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    try:
        with path.open("rb") as stream:
            yield from enumerate(stream, 1)
    except OSError as error:
        raise StorageError(f"Cannot read {path}: {error.strerror}.") from error
