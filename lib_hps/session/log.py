"""The event log of a session: JSON lines that are only ever added to, each on the disk before it counts.

An event is whole once its line ends; what a kill leaves after the last line end is no event. It is ignored when the log
is read and cut off before the next event is written.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from lib_hps.errors import InputError, NotFoundError, StorageError

Event = dict[str, Any]
SCHEMA = 1
# schema of an event -> what makes it an event of the next schema
UPGRADERS: dict[int, Callable[[Event], Event]] = {}


class EventLog:
    """The log's file. Callers see to it that one of them writes at a time (see `lock`).

    Args:
        path: of the JSONL file; it need not exist yet.
        upgraders: for tests; the project's own by default.
    """

    def __init__(self, path: Path, *, upgraders: Mapping[int, Callable[[Event], Event]] | None = None) -> None:
        self.path = path
        self._upgraders = UPGRADERS if upgraders is None else upgraders
        self._size = 0  # bytes of whole events read so far
        self._count = 0
        self._origin: tuple[int, int] | None = None  # device and inode: another file of the same name starts anew

    def read_new(self) -> list[Event]:
        """Events that were added since the last call, by whomever.

        Raises:
            NotFoundError: there is no such file.
            InputError: a line in the middle is damaged, or was written by a newer version.
        """
        try:
            with self.path.open("rb") as stream:
                facts = os.fstat(stream.fileno())
                if self._origin not in (None, (facts.st_dev, facts.st_ino)) or facts.st_size < self._size:
                    raise InputError(f"{self.path} was replaced while it was open. Open the session again.")
                self._origin = facts.st_dev, facts.st_ino
                stream.seek(self._size)
                fresh = stream.read()
        except FileNotFoundError as error:
            raise NotFoundError(f"There is no session in {self.path.parent}.") from error
        except OSError as error:
            raise StorageError(f"Cannot read {self.path}: {error.strerror}.") from error
        whole = fresh[: fresh.rfind(b"\n") + 1]
        events = [self._parse(line, self._count + place) for place, line in enumerate(whole.split(b"\n")[:-1], 1)]
        self._size += len(whole)
        self._count += len(events)
        return events

    def stamped(self, events: Sequence[Event]) -> list[Event]:
        """Events with number, schema and time, as the next `append` may have them."""
        numbered = enumerate(events, self._count + 1)
        stamped = [{"n": number, "v": SCHEMA, "time": now(), **event} for number, event in numbered]
        return json.loads(json.dumps(stamped))  # as they will be read: tuples are lists

    def append(self, stamped: Sequence[Event]) -> None:
        """Write events, all in one go, and wait until they are on the disk; only after `read_new` under the lock.

        Raises:
            StorageError: disk full or not writable; the log is as it was.
        """
        lines = "".join(json.dumps(event, ensure_ascii=True, allow_nan=False) + "\n" for event in stamped).encode()
        try:
            is_new = not self.path.exists()
            with self.path.open("r+b" if not is_new else "w+b") as stream:
                stream.truncate(self._size)
                stream.seek(self._size)
                try:
                    stream.write(lines)
                    stream.flush()
                    os.fsync(stream.fileno())
                except OSError:
                    os.ftruncate(stream.fileno(), self._size)
                    raise
                facts = os.fstat(stream.fileno())
            if is_new:
                sync_folder(self.path.parent)
        except OSError as error:
            raise StorageError(f"Cannot write {self.path}: {error.strerror}. Free some space, then go on.") from error
        self._origin = facts.st_dev, facts.st_ino
        self._size += len(lines)
        self._count += len(stamped)

    def _parse(self, line: bytes, number: int) -> Event:
        where = f"Line {number} of {self.path}"
        try:
            event = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{where} is damaged. Remove it and all after it, to go on from there.") from error
        if not isinstance(event, dict) or event.get("n") != number or not isinstance(event.get("v"), int):
            raise InputError(f"{where} is no event number {number}. Remove it and all after it, to go on from there.")
        if event["v"] > SCHEMA:
            raise InputError(
                f"{where} was written by a newer version (schema {event['v']}, known is {SCHEMA}). Update sd-webui-hps."
            )
        while event["v"] < SCHEMA:
            upgrade = self._upgraders.get(event["v"])
            if upgrade is None:
                raise InputError(f"{where} has the schema {event['v']}, which this version cannot read.")
            event = {**upgrade(dict(event)), "n": number, "v": event["v"] + 1}
        return event


def now() -> str:
    """The time in UTC as in `2026-11-24T03:00:00Z`."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def sync_folder(folder: Path) -> None:
    """Make a new name in a folder survive a power cut, where the system can do that."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return  # Windows
    try:
        os.fsync(handle)
    except OSError:
        pass  # not on this file system
    finally:
        os.close(handle)
