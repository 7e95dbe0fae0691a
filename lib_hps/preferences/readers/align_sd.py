"""align_sd (arXiv 2303.14420): a JSON list of {human_preference, prompt, id, file_path, user_hash, contain_name}."""

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

NAMES = ("preference_train.json", "preference_test.json")
_CHOSEN = ("human_preference", "pap_pref")  # the second in the public loaders
_OWN = {"id", "prompt", "file_path", "user_hash", "edges", *_CHOSEN}


def recognises(path: Path) -> bool:
    """A folder with the published file names, or a JSON file with the fields."""
    if path.is_dir():
        return any((path / name).is_file() for name in NAMES)
    row = first_row(path) if path.suffix in (".json", ".jsonl") else {}
    return "file_path" in row and any(name in row and not isinstance(row[name], list) for name in (*_CHOSEN, "edges"))


def read(source: Source) -> Iterator[Record | BrokenRow]:
    """Every row of the file, or of all published files in the folder."""
    files = [source.path / name for name in NAMES] if source.path.is_dir() else [source.path]
    for file in files:
        if file.is_file():
            for number, row in json_rows(file):
                yield record_of(row, replace(source, path=file), number)


def record_of(row: Any, source: Source, number: int) -> Record | BrokenRow:
    """One row; our own extra fields (`edges` for more than one pick) are understood."""
    if isinstance(row, BrokenRow):
        return row
    try:
        if not isinstance(row, Mapping):
            raise RowError(f"{str(row)[:40]!r} is no object with fields.")
        names = list_of(row, "file_path")
        ranking = _ranking(row, len(names))
        return Record(
            id=str(row["id"]) if "id" in row else f"{source.path.name}/{number}",
            prompt=text_of(row, "prompt"),
            pictures=source.pictures(names, "preference_images"),
            ranking=ranking,
            rater=str(row.get("user_hash") or ""),
            source=f"{source.path}, row {number}",
            extra={key: value for key, value in row.items() if key not in _OWN},
        )
    except (RowError, InputError) as error:
        return BrokenRow(source.path, number, str(error))


def _ranking(row: Mapping[str, Any], count: int) -> Ranking:
    """`edges` where they are there, else one pick; -1 is "none is known to be better"."""
    edges = row.get("edges")
    if edges is not None:
        return Ranking.from_dict({"count": count, "edges": edges})
    name = next((name for name in _CHOSEN if name in row), None)
    if name is None:
        raise RowError(f"There is no {_CHOSEN[0]}.")
    chosen = row[name]
    if chosen == -1 and not isinstance(chosen, bool):
        return Ranking(count, ())
    if not isinstance(chosen, int) or isinstance(chosen, bool) or not 0 <= chosen < count:
        raise RowError(f"{name} is {chosen!r}, but there are {count} pictures, numbered from 0.")
    return Ranking.pick(chosen, count)
