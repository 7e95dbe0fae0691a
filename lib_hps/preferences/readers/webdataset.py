"""WebDataset shards as we write them: tar files with {key}.json, {key}.0.png, {key}.1.png, ... of each choice."""

from __future__ import annotations

import json
import re
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from lib_hps.errors import StorageError
from lib_hps.preferences.readers.align_sd import record_of
from lib_hps.preferences.readers.source import RowError, Source
from lib_hps.preferences.records import BrokenRow, Picture, Record

_MEMBER = re.compile(r"(?:.*/)?([^/.]+)\.(?:(\d+)\.[A-Za-z0-9]+|json)")
_MOST_BYTES = 1 << 28  # of one member


def recognises(path: Path) -> bool:
    """A .tar file, or a folder that has some."""
    return bool(_files(path))


def read(source: Source) -> Iterator[Record | BrokenRow]:
    """Every choice of every shard; the pictures of one are in memory at once."""
    for file in _files(source.path):
        number = 0
        try:
            for number, members in enumerate(_groups(file), 1):
                yield _record(replace(source, path=file), number, members)
        except (tarfile.TarError, EOFError, zlib.error) as error:
            yield BrokenRow(file, number + 1, f"From here on the tar file is damaged ({error}); nothing later is read.")
        except OSError as error:
            raise StorageError(f"Cannot read {file}: {error}.") from error


def _files(path: Path) -> list[Path]:
    return sorted(path.glob("*.tar")) if path.is_dir() else [path] if path.suffix == ".tar" else []


def _groups(file: Path) -> Iterator[dict[str, bytes]]:
    """Members that follow each other and share the part of the name before the first dot."""
    key: str | None = None
    members: dict[str, bytes] = {}
    with tarfile.open(file, "r|") as tar:  # nothing is unpacked to the disk
        for member in tar:
            found = _MEMBER.fullmatch(member.name)
            if not found or not member.isfile() or member.size > _MOST_BYTES:
                continue
            if found[1] != key and members:
                yield members
                members = {}
            key = found[1]
            stream = tar.extractfile(member)
            members[found[2] or "json"] = stream.read() if stream else b""
    if members:
        yield members


def _record(source: Source, number: int, members: Mapping[str, bytes]) -> Record | BrokenRow:
    try:
        if "json" not in members:
            raise RowError("There is no .json for these pictures.")
        row: Any = json.loads(members["json"])
        if not isinstance(row, dict) or not isinstance(row.get("file_path"), list):
            raise RowError("The .json has no file_path.")
    except (RowError, ValueError) as error:
        return BrokenRow(source.path, number, str(error))
    # the pictures come from the shard, so the names need not exist on the disk
    record = record_of(row, replace(source, needs_pictures=False), number)
    if isinstance(record, BrokenRow):
        return record
    missing = [name for place, name in enumerate(row["file_path"]) if str(place) not in members]
    if missing and source.needs_pictures:
        return BrokenRow(source.path, number, f"The picture {missing[0]} is missing.")
    pictures = [Picture(source.path, members.get(str(place), b""), name) for place, name in enumerate(row["file_path"])]
    return replace(record, pictures=tuple(pictures))
