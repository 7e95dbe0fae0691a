"""Writing files so that a kill or a full disk leaves the old one or the new one, never half of either."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from lib_hps.errors import InputError, StorageError


@contextmanager
def atomic_write(path: str | os.PathLike[str], mode: str = "wb", *, is_durable: bool = True) -> Iterator[IO]:
    """Open a temporary file beside `path`; on a clean exit fsync it and rename it over `path`.

    Args:
        path: the file to appear; its folder is made if it is missing.
        mode: "wb", or "w" for UTF-8 text.
        is_durable: False saves the wait for the disk, for what can be computed again: a killed program still leaves
            the old file or the new one, but after a power cut the file may be empty.

    Raises:
        StorageError: the folder is not writable or the disk is full; nothing is left behind.
    """
    target = Path(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part")
    except OSError as error:
        raise StorageError(
            f"Cannot write {target}: {error.strerror}. Choose another folder or free some space."
        ) from error
    temporary = Path(name)
    try:
        with os.fdopen(handle, mode, encoding=None if "b" in mode else "utf-8") as stream:
            yield stream
            stream.flush()
            if is_durable:
                os.fsync(stream.fileno())
        # mkstemp makes private files; give what an ordinary open() would
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(target)
    except OSError as error:
        raise StorageError(
            f"Cannot write {target}: {error.strerror}. Choose another folder or free some space."
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def inside(folder: str | os.PathLike[str], name: str) -> Path:
    """Join a caller's `name` to `folder`, refusing anything that would leave it (links included).

    Raises:
        InputError: the joined path lies outside `folder`.
    """
    root = Path(folder).resolve()
    joined = (root / name).resolve()
    if not joined.is_relative_to(root) or joined == root:
        raise InputError(f"{name!r} is not a file inside {root}. Give a plain name of a file in that folder.")
    return joined
