"""ImageReward (arXiv 2304.05977): a JSON list of {id, prompt, generations, ranking}; 1 is the best, ties allowed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lib_hps.preferences.readers.json_rows import choice_row, first_row, json_records, ranking_by
from lib_hps.preferences.readers.source import Source
from lib_hps.preferences.records import BrokenRow, Record
from lib_hps.ranking import Ranking

_OWN = {"id", "prompt", "generations"}


def recognises(path: Path) -> bool:
    """A JSON file whose rows have generations and ranking."""
    if path.is_dir() or path.suffix not in (".json", ".jsonl"):
        return False
    return {"generations", "ranking"} <= set(first_row(path))


def read(source: Source) -> Iterator[Record | BrokenRow]:
    """Every row of the file."""
    yield from json_records(source, [source.path], _record)


def _record(row: Any, source: Source, number: int) -> Record | BrokenRow:
    return choice_row(row, source, number, ranking=_ranking, pictures=["generations"], own=_OWN)


def _ranking(row: Mapping[str, Any], count: int) -> Ranking:
    return ranking_by(row, "ranking", count, sign=-1)
