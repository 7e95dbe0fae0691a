"""Recorded choices: one JSON line for each answer, in the field names of align_sd, with the pictures beside it.

    choices.jsonl       {"id", "human_preference", "prompt", "file_path", "user_hash", "contain_name", ...}
    images/<sha256>.png pictures, named after their content: an answer of later rounds adds only what is new

Nothing leaves this folder. An answer that was taken back is followed by a line {"id": ..., "retracted": true}.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lib_hps.errors import StorageError
from lib_hps.files import atomic_write
from lib_hps.session.lock import FileLock

LINES, IMAGES, _RATER = "choices.jsonl", "images", "rater"


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
    _append(
        folder,
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
        },
    )


def retract(folder: Path, id: str) -> None:
    """Note that an answer was taken back.

    Raises:
        StorageError: the folder cannot be written.
    """
    _append(folder, {"id": id, "retracted": True})


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


def _kept(folder: Path, picture: Path) -> str:
    """Copy a picture under the name of its content; gives the path from the folder."""
    try:
        content = picture.read_bytes()
    except OSError as error:
        raise StorageError(f"Cannot read {picture}: {error.strerror}.") from error
    name = f"{IMAGES}/{hashlib.sha256(content).hexdigest()}{picture.suffix.lower()}"
    if not (folder / name).is_file():
        with atomic_write(folder / name) as stream:
            stream.write(content)
    return name


def _append(folder: Path, row: Mapping[str, Any]) -> None:
    """Cut a torn last line off, then write one whole line and wait until it is on the disk."""
    path = folder / LINES
    with FileLock(folder / ".lock", str(folder)):
        try:
            with path.open("a+b") as stream:
                stream.seek(0)
                whole = stream.read().rfind(b"\n") + 1
                stream.truncate(whole)
                stream.write(json.dumps(row, ensure_ascii=False, allow_nan=False).encode() + b"\n")
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as error:
            raise StorageError(f"Cannot write {path}: {error.strerror}. Free some space, then go on.") from error
