"""align_sd (arXiv 2303.14420): a JSON list of {human_preference, prompt, id, file_path, user_hash, contain_name}."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lib_hps.preferences.readers.json_rows import choice_row, first_row, json_records
from lib_hps.preferences.readers.source import RowError, Source
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
    yield from json_records(source, files, record_of)


def record_of(row: Any, source: Source, number: int) -> Record | BrokenRow:
    """One row; our own extra fields (`edges` for more than one pick) are understood."""
    return choice_row(
        row, source, number, ranking=_ranking, pictures=["file_path"], folders=["preference_images"], own=_OWN
    )


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
