"""Is every row whole, and does every picture open?"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterable, Iterator

from lib_hps.errors import StorageError
from lib_hps.preferences.records import BrokenRow, Picture, Record

_DAMAGED = (OSError, SyntaxError, ValueError, TypeError, EOFError, IndexError, KeyError, struct.error, zlib.error)


def check_records(
    records: Iterable[Record | BrokenRow], *, opens_pictures: bool = True
) -> Iterator[Record | BrokenRow]:
    """Give records that are whole, and a BrokenRow for what is not.

    Args:
        records: of any layout.
        opens_pictures: decode every picture once, so that damaged ones are found; False looks at the rows alone.
    """
    seen: dict[str, str] = {}
    for record in records:
        if isinstance(record, BrokenRow) or not opens_pictures:
            yield record
            continue
        problems = []
        for picture in record.pictures:
            key = "" if picture.content is not None else str(picture.path)
            if not key or key not in seen:
                problem = picture_problem(picture)
                if key:
                    seen[key] = problem
            else:
                problem = seen[key]
            if problem:
                problems.append(problem)
        yield _broken(record, " ".join(problems)) if problems else record


def picture_problem(picture: Picture) -> str:
    """What is wrong with a picture, "" for nothing."""
    from PIL import Image

    name = picture.name or picture.path.name
    try:
        with Image.open(io.BytesIO(picture.read())) as image:
            image.load()
    except StorageError:
        return f"The picture {name} cannot be read."
    except Image.DecompressionBombError:
        return f"The picture {name} has more pixels than can be true."
    except _DAMAGED as error:
        return f"The picture {name} is damaged ({' '.join(str(error).split())[:80]})."
    return ""


def _broken(record: Record, reason: str) -> BrokenRow:
    """The record's own file and row, from its source ("file, row 3")."""
    file, _, row = record.source.rpartition(", row ")
    from pathlib import Path

    if row.isdecimal():
        return BrokenRow(Path(file), int(row), reason)
    return BrokenRow(record.pictures[0].path, 0, f"{record.source}: {reason}")
