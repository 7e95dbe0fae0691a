"""Records into a folder of choices: import and merge. What a kill has cut short goes on when it is run again."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lib_hps.errors import StorageError
from lib_hps.preferences.choices import LINES, append_rows, keep_picture
from lib_hps.preferences.readers.choices import read as read_choices
from lib_hps.preferences.readers.source import Source
from lib_hps.preferences.records import BrokenRow, Picture, Record

_ROWS_AT_ONCE = 64
_CONTENT_NAME = re.compile(r"[0-9a-f]{64}")
_SUFFIXES = {b"\x89PNG": ".png", b"\xff\xd8\xff": ".jpg", b"RIFF": ".webp", b"GIF8": ".gif", b"BM": ".bmp"}


@dataclass
class Added:
    """What came of it.

    Attributes:
        added, known: choices that were written, and that were there already.
        broken: rows that were left out, each given to `report`.
    """

    added: int = 0
    known: int = 0
    broken: int = 0


def add_records(
    folder: Path,
    records: Iterable[Record | BrokenRow],
    *,
    report: Callable[[BrokenRow], None],
    prefix: str = "",
    by_content: bool = False,
) -> Added:
    """Append records, with their pictures, to a folder of choices.

    Args:
        folder: made if it is missing.
        records: of any layout.
        report: gets every row that is left out.
        prefix: put before ids that hold no "/": the rows of another data set may have the same numbers.
        by_content: leave out what is there in every respect under another id (the same answer in two backups).

    Raises:
        StorageError: the folder cannot be written.
    """
    done = Added()
    ids, contents = _present(folder, by_content=by_content)
    waiting: list[dict[str, Any]] = []
    for record in records:
        if isinstance(record, BrokenRow):
            done.broken += 1
            report(record)
            continue
        id = record.id if "/" in record.id or not prefix else f"{prefix}/{record.id}"
        if not by_content and _hash(id) in ids:
            done.known += 1
            continue
        try:
            contained = [picture.read() for picture in record.pictures]
        except StorageError as error:
            done.broken += 1
            report(BrokenRow(record.pictures[0].path, 0, f"{record.source}: {error}"))
            continue
        if by_content:
            key = content_key(record, [hashlib.sha256(one).hexdigest() for one in contained])
            if key in contents:
                done.known += 1
                continue
            contents.add(key)
            id = id if _hash(id) not in ids else f"{id}+{key:016x}"
        ids.add(_hash(id))
        names = [keep_picture(folder, *pair) for pair in zip(contained, map(suffix_of, contained), strict=True)]
        waiting.append(row_of(record, names, id=id))
        done.added += 1
        if len(waiting) >= _ROWS_AT_ONCE:
            append_rows(folder, waiting)
            waiting = []
    if waiting:
        append_rows(folder, waiting)
    return done


def row_of(record: Record, names: list[str], *, id: str | None = None) -> dict[str, Any]:
    """A record as a line in align_sd's names and ours."""
    weights, winners = record.ranking.weights(), record.ranking.best()
    return {
        "id": record.id if id is None else id,
        "human_preference": max(winners, key=lambda place: weights[place]) if winners else -1,
        "prompt": record.prompt,
        "file_path": names,
        "user_hash": record.rater,
        "contain_name": False,
        "edges": [list(edge) for edge in record.ranking.edges],
        **{key: value for key, value in record.extra.items() if key != "human_preference"},
    }


def suffix_of(content: bytes) -> str:
    """The file name suffix of an encoded picture, by its first bytes."""
    return next((suffix for start, suffix in _SUFFIXES.items() if content.startswith(start)), ".img")


def content_key(record: Record, digests: list[str]) -> int:
    """64 bits that stand for prompt, pictures, answer and rater."""
    return _hash(json.dumps([record.prompt, digests, record.ranking.edges, record.rater]))


def digest_of(picture: Picture) -> str:
    """Of a picture of a folder of choices: its name says it, so it is not read."""
    stem = picture.path.stem
    return stem if picture.content is None and _CONTENT_NAME.fullmatch(stem) else picture.digest()


def _present(folder: Path, *, by_content: bool) -> tuple[set[int], set[int]]:
    """Hashes of all ids in the folder, taken back ones included, and of the contents that stand."""
    if not (folder / LINES).is_file():
        return set(), set()
    ids = set(map(_hash, _all_ids(folder / LINES)))
    contents = set()
    for record in read_choices(Source(folder, needs_pictures=False)) if by_content else ():
        if isinstance(record, Record):
            contents.add(content_key(record, [digest_of(picture) for picture in record.pictures]))
    return ids, contents


def _all_ids(path: Path) -> Iterator[str]:
    with path.open("rb") as stream:
        for line in stream:
            try:
                yield str(json.loads(line)["id"])
            except (ValueError, KeyError, TypeError):
                continue


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")
