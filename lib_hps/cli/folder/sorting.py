"""Putting pictures in order on disk: nothing is overwritten, nothing is lost, and all of it can be undone."""

from __future__ import annotations

import filecmp
import json
import os
import re
import shutil
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypedDict

from lib_hps.cli.folder.inputs import SORTED_FOLDER
from lib_hps.cli.folder.rows import Row
from lib_hps.errors import InputError, StorageError
from lib_hps.files import atomic_write

Mode = Literal["move", "copy", "prefix"]


class Step(TypedDict):
    """One file's way, absolute."""

    source: str
    target: str


def plan(rows: Sequence[Row], mode: Mode) -> list[Step]:
    """Where each picture goes: `prefix` renames in place, the others go to `hps-sorted/`.

    Several prompts get a folder each.
    """
    digits = len(str(max((row["rank"] for row in rows), default=1)))
    files = [Path(os.path.abspath(row["file"])) for row in rows]
    root = Path(os.path.commonpath([file.parent for file in files])) / SORTED_FOLDER if files else Path()
    is_split = len({row["prompt"] for row in rows}) > 1
    taken: set[Path] = set()
    steps: list[Step] = []
    for row, file in zip(rows, files, strict=True):
        rank = f"{row['rank']:0{digits}d}"
        if mode == "prefix":
            wanted = file.with_name(f"{rank}_{file.name}")
        else:
            wanted = (root / _slug(row["prompt"]) if is_split else root) / f"{rank}_{file.name}"
        target = _free(wanted, taken)
        taken.add(target)
        steps.append(Step(source=str(file), target=str(target)))
    return steps


def _slug(prompt: str) -> str:
    """A folder name for a prompt: its first letters, and a checksum, so that no two prompts share one."""
    words = re.sub(r"[^\w]+", "-", prompt).strip("-")[:48] or "no-prompt"
    return f"{words}-{zlib.crc32(prompt.encode(errors='replace')):08x}"


def _free(wanted: Path, taken: set[Path]) -> Path:
    candidate, number = wanted, 1
    while candidate in taken or os.path.lexists(candidate):
        number += 1
        candidate = wanted.with_stem(f"{wanted.stem}-{number}")
    return candidate


def write_undo(path: Path, mode: Mode, steps: Sequence[Step]) -> Path:
    """Write the list BEFORE the first file moves, so that a kill at any point can be undone; an older list is kept."""
    free = _free(path, set())
    with atomic_write(free, "w") as stream:
        json.dump({"hps_undo": 1, "mode": mode, "steps": list(steps)}, stream, indent=1)
    return free


def perform(steps: Sequence[Step], mode: Mode) -> list[str]:
    """Carry the plan out; what cannot be moved stays where it is and is told."""
    problems = []
    for step in steps:
        try:
            Path(step["target"]).parent.mkdir(parents=True, exist_ok=True)
            if mode == "copy":
                _copy(step["source"], step["target"])
            else:
                _move(step["source"], step["target"])
        except OSError as error:
            problems.append(f"{step['source']} was left in place: {error.strerror or error}.")
    return problems


def _copy(source: str, target: str) -> None:
    """Copy, failing where the target exists."""
    try:
        with open(source, "rb") as reader, open(target, "xb") as writer:
            shutil.copyfileobj(reader, writer, 1 << 20)
            writer.flush()
            os.fsync(writer.fileno())
    except FileExistsError:
        raise
    except OSError:
        Path(target).unlink(missing_ok=True)
        raise
    shutil.copystat(source, target)


def _move(source: str, target: str) -> None:
    """Move, failing where the target exists: link the new name, then drop the old one; or copy."""
    if os.path.islink(source):
        os.symlink(os.path.realpath(source), target)
    else:
        try:
            os.link(source, target)
        except FileExistsError:
            raise
        except OSError:  # another disk, or a file system without hard links
            _copy(source, target)
    os.unlink(source)


def undo(path: Path) -> list[str]:
    """Take a sort back; the list is removed when all of it is undone.

    Returns:
        what could not be put back, and why.

    Raises:
        InputError: the file is no undo list.
    """
    try:
        found = json.loads(path.read_text("utf-8"))
        steps, mode = [Step(source=step["source"], target=step["target"]) for step in found["steps"]], found["mode"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is no undo list of hps score --sort ({error}).") from error
    problems = [problem for step in reversed(steps) if (problem := _undo_step(step, is_copy=mode == "copy"))]
    for folder in sorted({Path(step["target"]).parent for step in steps}, reverse=True):
        for empty in (folder, folder.parent):
            if SORTED_FOLDER in empty.parts and empty.is_dir() and not any(empty.iterdir()):
                empty.rmdir()
    if not problems:
        try:
            path.unlink()
        except OSError as error:
            raise StorageError(f"Undone, but {path} cannot be removed: {error.strerror}.") from error
    return problems


def _undo_step(step: Step, *, is_copy: bool) -> str:
    source, target = step["source"], step["target"]
    has_source, has_target = os.path.lexists(source), os.path.lexists(target)
    try:
        if not has_target:
            return "" if has_source else f"{source} is at neither place any more."
        if not has_source:
            if is_copy:
                return f"{source} is gone; its copy {target} is kept."
            Path(source).parent.mkdir(parents=True, exist_ok=True)
            _move(target, source)
        elif os.path.samefile(source, target) or filecmp.cmp(source, target, shallow=False):
            os.unlink(target)
        else:
            return f"{source} exists again and differs from {target}; both are kept."
    except OSError as error:
        return f"{target} could not be put back: {error.strerror or error}."
    return ""
