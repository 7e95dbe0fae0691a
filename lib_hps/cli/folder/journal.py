"""An append-only list of finished scores, so that a killed run goes on where it was."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lib_hps.cli.folder.inputs import Item
from lib_hps.errors import StorageError

_FSYNC_EVERY_S = 2.0


class Journal:
    """One process's file. Every line is handed to the system at once (a kill loses none) and synced every two seconds.

    Args:
        path: appended to; a torn last line of an earlier run is closed first.
        scorer: identity of scorer and weights; lines of another one are not read back.

    Raises:
        StorageError: the file cannot be written.
    """

    def __init__(self, path: Path, scorer: str) -> None:
        self.path, self._scorer, self._synced = path, scorer, time.monotonic()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._stream = path.open("ab", buffering=0)
            if _is_torn(path):
                self._stream.write(b"\n")
        except OSError as error:
            raise StorageError(f"Cannot write {path}: {error.strerror}. Choose another --out.") from error

    def add(self, item: Item, *, score: float | None = None, error: str = "") -> None:
        """Note the outcome for one picture.

        Raises:
            StorageError: the disk is full.
        """
        file, size, mtime_ns, prompt = item.key
        line: dict[str, Any] = {
            "file": file,
            "size": size,
            "mtime_ns": mtime_ns,
            "prompt": prompt,
            "scorer": self._scorer,
        }
        line |= {"score": score} if score is not None else {"error": error}
        try:
            self._stream.write(json.dumps(line).encode() + b"\n")
            if time.monotonic() - self._synced > _FSYNC_EVERY_S:
                os.fsync(self._stream.fileno())
                self._synced = time.monotonic()
        except OSError as failure:
            raise StorageError(
                f"Cannot write {self.path}: {failure.strerror}. What was scored so far is kept."
            ) from failure

    def close(self) -> None:
        """Sync and close."""
        os.fsync(self._stream.fileno())
        self._stream.close()


def _is_torn(path: Path) -> bool:
    """The last line has no end: its process was killed while writing."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        stream.seek(max(0, size - 1))
        return stream.read(1) not in (b"", b"\n")


def journal_path(out: Path, rank: int) -> Path:
    """Beside the output, one for each process."""
    return out.with_name(f".{out.name}.journal-{rank}")


def journals(out: Path) -> list[Path]:
    """The journals of this and earlier runs with any number of processes."""
    return sorted(out.parent.glob(f".{_escaped(out.name)}.journal-*"))


def _escaped(name: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)


def read_journals(out: Path, scorer: str) -> Iterator[dict[str, Any]]:
    """Whole lines of the same scorer; torn and foreign ones are skipped."""
    for path in journals(out):
        with path.open("rb") as stream:
            for raw in stream:
                try:
                    line = json.loads(raw)
                    if line["scorer"] == scorer and isinstance(line["file"], str):
                        yield line
                except (ValueError, KeyError, TypeError):
                    continue


def finished(out: Path, scorer: str) -> dict[tuple[str, int, int, str], float]:
    """Scores by `Item.key`."""
    found = (line for line in read_journals(out, scorer) if isinstance(line.get("score"), float))
    return {(line["file"], line["size"], line["mtime_ns"], line["prompt"]): line["score"] for line in found}
