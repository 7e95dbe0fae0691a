"""A lock between processes and threads, that a kill releases: the operating system's lock on an open file."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from types import TracebackType

from lib_hps.errors import ConflictError, StorageError

if sys.platform == "win32":
    import msvcrt

    def _try_lock(handle: int) -> None:
        os.lseek(handle, 0, os.SEEK_SET)
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _try_lock(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


_LOOK_AGAIN_S = 0.02


class FileLock:
    """`with FileLock(path, "what it guards"):` one holder at a time, on this machine.

    Args:
        path: a file that is made for the lock and stays; its folder is made if it is missing.
        guards: words for the error.
        patience_s: how long to wait for another holder; 0 gives up at once.
    """

    def __init__(self, path: Path, guards: str, *, patience_s: float = 20.0) -> None:
        self._path, self._guards, self._patience_s = path, guards, patience_s
        self._handle: int | None = None

    def acquire(self) -> None:
        """Wait for the lock and take it.

        Raises:
            ConflictError: another holder has it for longer than the patience.
            StorageError: the file cannot be made.
        """
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise StorageError(f"Cannot write {self._path}: {error.strerror}. Choose another folder.") from error
        give_up_at = time.monotonic() + self._patience_s
        while True:
            try:
                _try_lock(handle)
            except OSError:
                if time.monotonic() >= give_up_at:
                    os.close(handle)
                    raise ConflictError(
                        f"Another program is busy with {self._guards}. Wait for it, or stop it."
                    ) from None
                time.sleep(_LOOK_AGAIN_S)
            else:
                self._handle = handle
                return

    def release(self) -> None:
        """Give the lock back; closing the file does it."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def __enter__(self) -> FileLock:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
