"""Pick-a-Pic (arXiv 2305.01569): parquet with two JPEGs, their labels (0.5 and 0.5 is a tie) and the caption."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from lib_hps.errors import InputError, StorageError
from lib_hps.preferences.readers.source import RowError, Source, text_of
from lib_hps.preferences.records import BrokenRow, Picture, Record
from lib_hps.ranking import Ranking

_WANTED: tuple[str, ...] = ("caption", "label_0", "label_1", "jpg_0", "jpg_1", "has_label", "ranking_id", "user_id")
_WANTED += ("image_0_uid", "image_1_uid", "model_0", "model_1", "created_at")
_NEEDED = {"caption", "label_0", "label_1"}
_BATCH = 32  # rows in memory at once


def recognises(path: Path) -> bool:
    """A .parquet file, or a folder that has some."""
    return bool(_files(path))


def read(source: Source) -> Iterator[Record | BrokenRow]:
    """Every row of every table; a few rows are in memory at once.

    Raises:
        InputError: pyarrow is not installed.
        StorageError: a table cannot be read.
    """
    try:
        import pyarrow
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise InputError(
            "Pick-a-Pic's tables need the package pyarrow. Install it: pip install 'sd-webui-hps[data]'."
        ) from error
    for file in _files(source.path):
        number = 0
        try:
            with parquet.ParquetFile(file) as table:
                names = set(table.schema_arrow.names)
                if not names >= _NEEDED:
                    yield BrokenRow(file, 0, f"The table has no {', '.join(sorted(_NEEDED - names))}.")
                    continue
                columns = [name for name in _WANTED if name in names]
                for batch in table.iter_batches(batch_size=_BATCH, columns=columns):
                    for row in batch.to_pylist():
                        number += 1
                        yield _record(row, replace(source, path=file), number)
        except pyarrow.ArrowInvalid as error:
            yield BrokenRow(file, number + 1, f"From here on the table is damaged ({error}); no later row is read.")
        except OSError as error:
            raise StorageError(f"Cannot read {file}: {error}.") from error


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted([*path.glob("*.parquet"), *path.glob("data/*.parquet")])
    return [path] if path.suffix == ".parquet" else []


def _record(row: Mapping[str, Any], source: Source, number: int) -> Record | BrokenRow:
    try:
        if row.get("has_label") is False:
            raise RowError("The row has no label.")
        labels = [row["label_0"], row["label_1"]]
        if any(not isinstance(label, (int, float)) for label in labels):
            raise RowError(f"The labels are {labels}, which are no numbers.")
        kept = {name: row[name] for name in ("model_0", "model_1") if row.get(name) is not None}
        if row.get("created_at") is not None:
            kept["time"] = str(row["created_at"])
        user = row.get("user_id")
        unique = row.get("ranking_id")
        return Record(
            id=str(unique) if unique is not None else f"{source.path.name}/{number}",
            prompt=text_of(row, "caption"),
            pictures=(_picture(row, 0, source), _picture(row, 1, source)),
            ranking=Ranking.from_scores(labels),
            rater="" if user is None else hashlib.sha256(str(user).encode()).hexdigest()[:16],
            source=f"{source.path}, row {number}",
            extra=kept,
        )
    except (RowError, InputError) as error:
        return BrokenRow(source.path, number, str(error))


def _picture(row: Mapping[str, Any], place: int, source: Source) -> Picture:
    content, name = row.get(f"jpg_{place}"), str(row.get(f"image_{place}_uid") or f"jpg_{place}")
    if not content and source.needs_pictures:
        raise RowError(f"The picture {name} is missing.")
    return Picture(source.path, bytes(content or b""), name)
