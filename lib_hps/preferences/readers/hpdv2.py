"""HPDv2 (arXiv 2306.09341): JSON lists of {prompt, image_path or file_path, human_preference or rank}."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lib_hps.preferences.readers.json_rows import choice_row, first_row, json_records, ranking_by
from lib_hps.preferences.readers.source import Source
from lib_hps.preferences.records import BrokenRow, Record
from lib_hps.ranking import Ranking

_FILES = ("train.json", "test.json")
_OWN = {"id", "human_preference", "prompt", "image_path", "file_path", "user_hash"}


def recognises(path: Path) -> bool:
    """A JSON file with lists of preferences or ranks, or a folder with such train.json and test.json."""
    if path.is_dir():
        return any(recognises(path / name) for name in _FILES if (path / name).is_file())
    row = first_row(path) if path.suffix in (".json", ".jsonl") else {}
    has_order = isinstance(row.get("human_preference"), list) or isinstance(row.get("rank"), list)
    return has_order and ("image_path" in row or "file_path" in row)


def read(source: Source) -> Iterator[Record | BrokenRow]:
    """Every row; the published (averaged) order counts, what each rater said stays in `extra`."""
    files = [source.path / name for name in _FILES] if source.path.is_dir() else [source.path]
    yield from json_records(source, files, _record)


def _record(row: Any, source: Source, number: int) -> Record | BrokenRow:
    pictures, folders = ["image_path", "file_path"], ["train", "test", "images"]
    return choice_row(row, source, number, ranking=_ranking, pictures=pictures, folders=folders, own=_OWN)


def _ranking(row: Mapping[str, Any], count: int) -> Ranking:
    """`rank`: lower is better; `human_preference`: 1 for what was preferred. Equal numbers are ties."""
    name = "rank" if "rank" in row else "human_preference"
    return ranking_by(row, name, count, sign=-1 if name == "rank" else 1)
