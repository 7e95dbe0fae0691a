"""Looking at the choices of a data set, page by page; in a folder of our own they can be corrected and dropped."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lib_hps.board.data.pictures import PictureBook
from lib_hps.errors import InputError, NotFoundError
from lib_hps.preferences.adding import row_of
from lib_hps.preferences.choices import append_rows, retract
from lib_hps.preferences.reading import layout_of, read_records
from lib_hps.preferences.records import BrokenRow, Record
from lib_hps.ranking import Ranking


class Browser:
    """One data set.

    Args:
        path: in any layout; only our own folder can be changed.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.layout = path, layout_of(path)
        self.is_ours = self.layout == "choices"
        self.folder = path if path.is_dir() else path.parent
        self.book = PictureBook()
        self._lock = threading.Lock()

    def page(self, *, begin: int, count: int, words: str) -> dict[str, Any]:
        """Choices from `begin` on whose prompt has `words`; broken rows are among them."""
        rows: list[dict[str, Any]] = []
        total = broken = 0
        for one in read_records(self.path, labels_only=self.layout == "choices"):
            if isinstance(one, BrokenRow):
                broken += 1
                shown: dict[str, Any] = {"broken": str(one)}
            else:
                shown = {}
            if words and (isinstance(one, BrokenRow) or words.casefold() not in one.prompt.casefold()):
                continue
            if begin <= total < begin + count:
                rows.append(shown or self._shown(one))  # type: ignore[arg-type]
            total += 1
        return {"rows": rows, "total": total, "broken": broken, "can_change": self.is_ours, "name": self.path.name}

    def _shown(self, record: Record) -> dict[str, Any]:
        return {
            "id": record.id,
            "prompt": record.prompt,
            "pictures": [self.book.key(picture) for picture in record.pictures],
            "weights": record.ranking.weights(),
            "is_known": bool(record.ranking.edges),
            "rater": record.rater,
            "time": str(record.extra.get("time", "")),
        }

    def drop(self, id: str) -> dict[str, Any]:
        """Append a line that takes the choice back.

        Raises:
            InputError: the data set is not ours.
            NotFoundError: there is no such choice.
        """
        with self._lock:
            self._record(id)
            retract(self.folder, id)
        return {"dropped": id}

    def restore(self, id: str) -> dict[str, Any]:
        """Take a choice back that was dropped: its last line is appended again.

        Raises:
            InputError, NotFoundError: as `drop`.
        """
        with self._lock:
            self._check_ours()
            row = _last_row(self.folder, id)
            append_rows(self.folder, [row])
        return {"restored": id}

    def correct(self, id: str, order: object) -> dict[str, Any]:
        """Append the choice with another answer.

        Args:
            id: of the choice.
            order: groups of positions from 0, best first; [] is "none is better".

        Raises:
            InputError: the data set is not ours, or the order is none.
            NotFoundError: there is no such choice.
        """
        with self._lock:
            record = self._record(id)
            ranking = ranking_of(order, len(record.pictures))
            row = {**row_of(record, [picture.name for picture in record.pictures]), "corrected": True}
            row["edges"] = [list(edge) for edge in ranking.edges]
            weights, best = ranking.weights(), ranking.best()
            row["human_preference"] = max(best, key=lambda place: weights[place]) if best else -1
            append_rows(self.folder, [row])
        return {"weights": weights, "is_known": bool(ranking.edges)}

    def _check_ours(self) -> None:
        if not self.is_ours:
            raise InputError(f"{self.path} is not a folder of our own. Import it first: hps data import.")

    def _record(self, id: str) -> Record:
        self._check_ours()
        for one in read_records(self.path, labels_only=True):
            if isinstance(one, Record) and one.id == id:
                return one
        raise NotFoundError(f"There is no choice {id[:60]!r}; it may have been dropped.")


def ranking_of(order: object, count: int) -> Ranking:
    """From a page's answer: a list of groups of positions.

    Raises:
        InputError: something else.
    """
    if not isinstance(order, list) or not all(isinstance(group, list) for group in order):
        raise InputError(f"{str(order)[:60]} is no order; give lists of positions, best first.")
    return Ranking.order(order, count)


def _last_row(folder: Path, id: str) -> Mapping[str, Any]:
    import json

    found = None
    with (folder / "choices.jsonl").open("rb") as stream:
        for line in stream:
            try:
                row = json.loads(line)
            except ValueError:
                continue
            if isinstance(row, dict) and row.get("id") == id and not row.get("retracted"):
                found = row
    if found is None:
        raise NotFoundError(f"There is no choice {id[:60]!r}.")
    return found
