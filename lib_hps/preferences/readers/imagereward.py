"""ImageReward (arXiv 2304.05977): a JSON list of {id, prompt, generations, ranking}; 1 is the best, ties allowed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lib_hps.errors import InputError
from lib_hps.preferences.readers.hpdv2 import ranking_of
from lib_hps.preferences.readers.json_rows import first_row, json_rows
from lib_hps.preferences.readers.source import RowError, Source, list_of, text_of
from lib_hps.preferences.records import BrokenRow, Record

_OWN = {"id", "prompt", "generations"}


def recognises(path: Path) -> bool:
    """A JSON file whose rows have generations and ranking."""
    if path.is_dir() or path.suffix not in (".json", ".jsonl"):
        return False
    return {"generations", "ranking"} <= set(first_row(path))


def read(source: Source) -> Iterator[Record | BrokenRow]:
    """Every row of the file."""
    for number, row in json_rows(source.path):
        yield _record(row, source, number)


def _record(row: Any, source: Source, number: int) -> Record | BrokenRow:
    if isinstance(row, BrokenRow):
        return row
    try:
        if not isinstance(row, Mapping):
            raise RowError(f"{str(row)[:40]!r} is no object with fields.")
        names = list_of(row, "generations")
        return Record(
            id=str(row["id"]) if "id" in row else f"{source.path.name}/{number}",
            prompt=text_of(row, "prompt"),
            pictures=source.pictures(names),
            ranking=ranking_of(row, "ranking", len(names), sign=-1),
            source=f"{source.path}, row {number}",
            extra={key: value for key, value in row.items() if key not in _OWN},
        )
    except (RowError, InputError) as error:
        return BrokenRow(source.path, number, str(error))
