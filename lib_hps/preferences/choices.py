"""Recorded choices: one JSON line for each answer, in the field names of align_sd, with the pictures beside it.

    choices.jsonl       {"id", "human_preference", "prompt", "file_path", "user_hash", "contain_name", ...}
    images/<sha256>.png pictures, named after their content: an answer of later rounds adds only what is new

Nothing leaves this folder. An answer that was taken back is followed by a line {"id": ..., "retracted": true}, one
that was corrected by another line with its id: of lines with the same id the last counts.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from lib_hps.errors import StorageError
from lib_hps.files import atomic_write
from lib_hps.session.lock import FileLock

LINES, IMAGES, _RATER = "choices.jsonl", "images", "rater"
_BLOCK = 1 << 16


@dataclass(frozen=True)
class Choice:
    """One answer.

    Attributes:
        id: the same answer has the same id.
        pictures: files, in the order of the candidates.
        edges: (better, worse), indices of `pictures`; ties and the unknown have none.
        best: the picture that beats most, None where none is known to be better.
        settings: of the pictures, "model" among them.
        recipes: their noise, one for each picture.
    """

    id: str
    prompt: str
    pictures: Sequence[Path]
    edges: Sequence[tuple[int, int]]
    best: int | None
    time: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    recipes: Sequence[str] = ()
    seed: int | None = None


def record(folder: Path, choice: Choice) -> None:
    """Add a choice; the line is written when its pictures are there, so a kill leaves no line without them.

    Raises:
        StorageError: a picture cannot be read, or the folder not written.
    """
    paths = [_kept(folder, picture) for picture in choice.pictures]
    append_rows(
        folder,
        [
            {
                "id": choice.id,
                "human_preference": -1 if choice.best is None else choice.best,
                "prompt": choice.prompt,
                "file_path": paths,
                "user_hash": rater_hash(folder),
                "contain_name": False,
                "edges": [list(edge) for edge in choice.edges],
                "time": choice.time,
                "model": choice.settings.get("model", ""),
                "settings": dict(choice.settings),
                "recipes": list(choice.recipes),
                "seed": choice.seed,
            }
        ],
    )


def retract(folder: Path, id: str) -> None:
    """Note that an answer was taken back.

    Raises:
        StorageError: the folder cannot be written.
    """
    append_rows(folder, [{"id": id, "retracted": True}])


def read_choices(folder: Path) -> list[dict[str, Any]]:
    """All choices that stand, in the order of their answers; a torn last line is none.

    Raises:
        StorageError: the file cannot be read, or a line in the middle is damaged.
    """
    try:
        raw = (folder / LINES).read_bytes()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StorageError(f"Cannot read {folder / LINES}: {error.strerror}.") from error
    standing: dict[str, dict[str, Any]] = {}
    for number, line in enumerate(raw[: raw.rfind(b"\n") + 1].splitlines(), 1):
        try:
            row = json.loads(line)
            if row.get("retracted"):
                standing.pop(row["id"], None)
            else:
                standing[row["id"]] = row
        except (ValueError, KeyError, AttributeError) as error:
            raise StorageError(f"Line {number} of {folder / LINES} is damaged. Remove it.") from error
    return list(standing.values())


def rater_hash(folder: Path) -> str:
    """Stands for whoever uses this folder: random, made once, says nothing about the person."""
    path = folder / _RATER
    if not path.is_file():
        with FileLock(folder / ".lock", str(folder)):
            if not path.is_file():
                with atomic_write(path, "w") as stream:
                    stream.write(secrets.token_hex(16))
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def correct(folder: Path, row: Mapping[str, Any]) -> None:
    """Put a row in the place of the one with the same id; the old line stays in the file and counts no more.

    Raises:
        StorageError: the folder cannot be written.
    """
    append_rows(folder, [row])


def keep_picture(folder: Path, content: bytes, suffix: str) -> str:
    """Write a picture under the name of its content, where it is not there; gives the path from the folder.

    Raises:
        StorageError: it cannot be written.
    """
    name = f"{IMAGES}/{hashlib.sha256(content).hexdigest()}{suffix.lower()}"
    if not (folder / name).is_file():
        with atomic_write(folder / name) as stream:
            stream.write(content)
    return name


def append_rows(folder: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Cut a torn last line off, then write whole lines and wait until they are on the disk.

    Raises:
        StorageError: the folder cannot be written.
    """
    path = folder / LINES
    lines = b"".join(json.dumps(row, ensure_ascii=False, allow_nan=False).encode() + b"\n" for row in rows)
    with FileLock(folder / ".lock", str(folder)):
        try:
            with path.open("a+b") as stream:
                stream.truncate(_whole_bytes(stream))
                stream.write(lines)
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as error:
            raise StorageError(f"Cannot write {path}: {error.strerror}. Free some space, then go on.") from error


def _kept(folder: Path, picture: Path) -> str:
    """Copy a picture under the name of its content."""
    try:
        content = picture.read_bytes()
    except OSError as error:
        raise StorageError(f"Cannot read {picture}: {error.strerror}.") from error
    return keep_picture(folder, content, picture.suffix)


def _whole_bytes(stream: IO[bytes]) -> int:
    """Where the last whole line ends; reads from the end, so that a long file costs no more than a short one."""
    end = stream.seek(0, os.SEEK_END)
    while end:
        begin = max(0, end - _BLOCK)
        stream.seek(begin)
        found = stream.read(end - begin).rfind(b"\n")
        if found >= 0:
            return begin + found + 1
        end = begin
    return 0
