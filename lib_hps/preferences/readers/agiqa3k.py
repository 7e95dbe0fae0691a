"""AGIQA-3K (arXiv 2306.04717): a table of pictures with mean opinion scores of quality and of alignment."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping
from pathlib import Path

from lib_hps.errors import InputError, StorageError
from lib_hps.preferences.readers.source import RowError, Source, text_of
from lib_hps.preferences.records import BrokenRow, Picture, Record
from lib_hps.ranking import Ranking

_NUMBERS = ("mos_quality", "mos_align", "std_quality", "std_align")


def recognises(path: Path) -> bool:
    """A CSV whose header names both scores."""
    if path.is_dir() or path.suffix != ".csv":
        return False
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as stream:
        return {"name", "prompt", "mos_quality", "mos_align"} <= set(stream.readline().strip().split(","))


def read(source: Source) -> Iterator[Record | BrokenRow]:
    """The pictures of each prompt as one order, by the sum of both scores; the table is held (a few MB at most).

    `extra` has "scores" (the sums) and "spreads" (their deviation over raters, as if the two were independent).
    """
    groups: dict[str, list[tuple[int, Picture, list[float]]]] = {}
    try:
        with source.path.open(encoding="utf-8-sig", errors="replace", newline="") as stream:
            for number, row in enumerate(csv.DictReader(stream), 2):  # the header is line 1
                try:
                    member = number, source.picture(row.get("name"), "images"), _numbers(row)
                    groups.setdefault(text_of(row, "prompt"), []).append(member)
                except RowError as error:
                    yield BrokenRow(source.path, number, str(error))
    except (OSError, csv.Error) as error:
        raise StorageError(f"Cannot read {source.path}: {error}.") from error
    for place, (prompt, members) in enumerate(groups.items(), 1):
        scores = [numbers[0] + numbers[1] for _, _, numbers in members]
        try:
            yield Record(
                id=f"{source.path.name}/{place}",
                prompt=prompt,
                pictures=tuple(picture for _, picture, _ in members),
                ranking=Ranking.from_scores(scores),
                source=f"{source.path}, row {members[0][0]}",
                extra={"scores": scores, "spreads": [math.hypot(n[2], n[3]) for _, _, n in members]},
            )
        except InputError as error:
            yield BrokenRow(source.path, members[0][0], str(error))


def _numbers(row: Mapping[str, str | None]) -> list[float]:
    values = []
    for name in _NUMBERS:
        try:
            value = float(row.get(name) or "")
        except ValueError:
            raise RowError(f"{name} is {row.get(name)!r}, which is no number.") from None
        if not math.isfinite(value):
            raise RowError(f"{name} is {value}, which is no score.")
        values.append(value)
    return values
