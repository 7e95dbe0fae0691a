"""The rows of a scored folder: ranked within the prompt, written as JSONL or CSV."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO, TypedDict

from lib_hps.errors import InputError
from lib_hps.files import atomic_write


class Row(TypedDict):
    """One scored picture; rank 1 is the best of its prompt."""

    file: str
    prompt: str
    scorer: str
    score: float
    rank: int


def rank_rows(scored: Iterable[tuple[str, str, float]], scorer: str) -> list[Row]:
    """(file, prompt, score) -> rows, prompts in order of appearance, best first; equal scores by file name."""
    groups: dict[str, list[tuple[str, float]]] = {}
    for file, prompt, score in scored:
        groups.setdefault(prompt, []).append((file, score))
    rows: list[Row] = []
    for prompt, members in groups.items():
        best_first = sorted(members, key=lambda member: (-member[1], member[0]))
        rows += [
            Row(file=file, prompt=prompt, scorer=scorer, score=score, rank=rank)
            for rank, (file, score) in enumerate(best_first, 1)
        ]
    return rows


def check_out(path: Path) -> Path:
    """Refuse an output whose format is not known, before hours of work.

    Raises:
        InputError: neither .jsonl nor .csv, or a folder.
    """
    if path.suffix.lower() not in (".jsonl", ".csv") or path.is_dir():
        raise InputError(f"--out is {path}; give a file that ends in .jsonl or .csv.")
    return path


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    """Write atomically in the format of the suffix."""
    with atomic_write(path, "w") as stream:
        if path.suffix.lower() == ".csv":
            _write_csv(stream, rows)
        else:
            stream.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _write_csv(stream: IO[str], rows: Sequence[Row]) -> None:
    writer = csv.DictWriter(stream, list(Row.__annotations__), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
