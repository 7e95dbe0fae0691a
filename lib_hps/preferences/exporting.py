"""Records in the layouts of other programs. A folder appears when it is whole, never half."""

from __future__ import annotations

import io
import itertools
import json
import os
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import IO, Any

from lib_hps.errors import InputError, StorageError
from lib_hps.preferences.adding import row_of, suffix_of
from lib_hps.preferences.formats import FORMATS
from lib_hps.preferences.readers.imagefolder import NAME, PICTURES
from lib_hps.preferences.records import BrokenRow, Record

_CHOICES_IN_SHARD, _BYTES_IN_SHARD = 10_000, 1 << 30
_FIELDS = ("id", "human_preference", "prompt", "file_path", "user_hash", "contain_name", "edges")


def export_records(
    target: Path, records: Iterable[Record | BrokenRow], format: str, *, report: Callable[[BrokenRow], None]
) -> int:
    """Write a folder.

    Args:
        target: must not be there, or be empty.
        records: of any layout.
        format: one of FORMATS.
        report: gets every row that is left out.

    Returns:
        The number of choices written.

    Raises:
        InputError: another format, or the target is there.
        StorageError: it cannot be written; nothing is left behind.
    """
    write = {"align_sd": _align_sd, "imagefolder": _imagefolder, "webdataset": _webdataset}.get(format)
    if write is None:
        raise InputError(f"{format!r} is no format to export. Take one of {', '.join(FORMATS)}.")
    with new_folder(target) as draft:
        return write(draft, readable(records, report))


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """A folder beside `target` that takes its name when all went well, and is removed where it did not.

    Raises:
        InputError: the target is there and not empty.
        StorageError: it cannot be written.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise InputError(f"{target} is there already. Name a new folder, or remove it.")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent))
    except OSError as error:
        raise StorageError(f"Cannot write {target}: {error.strerror}. Choose another folder.") from error
    try:
        yield draft
        umask = os.umask(0)
        os.umask(umask)
        draft.chmod(0o777 & ~umask)
        draft.replace(target)
    except OSError as error:
        if isinstance(error, StorageError):
            raise
        raise StorageError(f"Cannot write {target}: {error.strerror}. Free some space.") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def readable(
    records: Iterable[Record | BrokenRow], report: Callable[[BrokenRow], None]
) -> Iterator[tuple[Record, list[bytes]]]:
    """Records with their pictures; what cannot be read is reported."""
    for record in records:
        if isinstance(record, BrokenRow):
            report(record)
            continue
        try:
            yield record, [picture.read() for picture in record.pictures]
        except StorageError as error:
            report(BrokenRow(record.pictures[0].path, 0, f"{record.source}: {error}"))


def _align_sd(folder: Path, records: Iterable[tuple[Record, list[bytes]]]) -> int:
    count = 0
    with (folder / "preference_train.json").open("w", encoding="utf-8") as stream:
        stream.write("[")
        for count, (record, contents) in enumerate(records, 1):
            row = row_of(record, [_keep(folder, "preference_images", content) for content in contents])
            stream.write(("\n" if count == 1 else ",\n") + json.dumps(row, ensure_ascii=False))
        stream.write("\n]\n")
        _sync(stream)
    return count


def _imagefolder(folder: Path, records: Iterable[tuple[Record, list[bytes]]]) -> int:
    """`datasets` makes a column `images` of `images_file_names`; what has no fixed type is JSON text in `extra`."""
    written = 0
    with (folder / NAME).open("w", encoding="utf-8") as stream:
        for record, contents in records:
            row = row_of(record, [_keep(folder, "images", content) for content in contents])
            line: dict[str, Any] = {PICTURES if key == "file_path" else key: row[key] for key in _FIELDS}
            line["extra"] = json.dumps({key: row[key] for key in row if key not in _FIELDS}, ensure_ascii=False)
            stream.write(json.dumps(line, ensure_ascii=False) + "\n")
            written += 1
        _sync(stream)
    return written


def _webdataset(folder: Path, records: Iterable[tuple[Record, list[bytes]]]) -> int:
    """Shards of at most 10,000 choices or about 1 GiB."""
    count, stream = 0, iter(records)
    for shard in itertools.count():
        first = next(stream, None)
        if first is None:
            return count
        with tarfile.open(folder / f"choices-{shard:06d}.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
            size = _add(tar, count, *first)
            count += 1
            while size < _BYTES_IN_SHARD and count % _CHOICES_IN_SHARD:
                following = next(stream, None)
                if following is None:
                    break
                size += _add(tar, count, *following)
                count += 1
    return count


def _add(tar: tarfile.TarFile, number: int, record: Record, contents: list[bytes]) -> int:
    """Put a choice into a shard; gives its bytes."""
    key = f"{number:09d}"
    names = [f"{key}.{place}{suffix_of(content)}" for place, content in enumerate(contents)]
    row = json.dumps(row_of(record, names), ensure_ascii=False).encode()
    for name, content in [(f"{key}.json", row), *zip(names, contents, strict=True)]:
        info = tarfile.TarInfo(name)
        info.size = len(content)
        tar.addfile(info, io.BytesIO(content))
    return len(row) + sum(map(len, contents))


def _keep(folder: Path, name: str, content: bytes) -> str:
    """Write a picture once, under the name of its content."""
    path = folder / name / f"{sha256(content).hexdigest()}{suffix_of(content)}"
    if not path.is_file():
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    return f"{name}/{path.name}"


def _sync(stream: IO[str]) -> None:
    stream.flush()
    os.fsync(stream.fileno())
