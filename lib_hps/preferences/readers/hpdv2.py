"""HPDv2 (arXiv 2306.09341): JSON lists of {prompt, image_path or file_path, human_preference or rank}."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from lib_hps.errors import InputError
from lib_hps.preferences.readers.json_rows import first_row, json_rows
from lib_hps.preferences.readers.source import RowError, Source, list_of, text_of
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
    for file in files:
        if file.is_file():
            for number, row in json_rows(file):
                yield _record(row, replace(source, path=file), number)


def _record(row: Any, source: Source, number: int) -> Record | BrokenRow:
    if isinstance(row, BrokenRow):
        return row
    try:
        if not isinstance(row, Mapping):
            raise RowError(f"{str(row)[:40]!r} is no object with fields.")
        names = list_of(row, "image_path", "file_path")
        return Record(
            id=str(row["id"]) if "id" in row else f"{source.path.name}/{number}",
            prompt=text_of(row, "prompt"),
            pictures=source.pictures(names, "train", "test", "images"),
            ranking=_ranking(row, len(names)),
            rater=str(row.get("user_hash") or ""),
            source=f"{source.path}, row {number}",
            extra={key: value for key, value in row.items() if key not in _OWN},
        )
    except (RowError, InputError) as error:
        return BrokenRow(source.path, number, str(error))


def _ranking(row: Mapping[str, Any], count: int) -> Ranking:
    """`rank`: lower is better; `human_preference`: 1 for what was preferred. Equal numbers are ties."""
    name = "rank" if "rank" in row else "human_preference"
    return ranking_of(row, name, count, sign=-1 if name == "rank" else 1)


def ranking_of(row: Mapping[str, Any], name: str, count: int, *, sign: int) -> Ranking:
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
