"""The log of a session and the state that it gives: taken in as others write it, written under the lock."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import RLock

from lib_hps.errors import ConflictError, InputError
from lib_hps.session.lock import FileLock
from lib_hps.session.log import Event, EventLog
from lib_hps.session.replay import apply, replay
from lib_hps.session.state import State

LOG = "log.jsonl"


class Journal:
    """An open log. Several objects, threads and processes may have the same one open.

    Args:
        folder: of the session; its name is the id.
        locks: where lock files lie (outside, for a session's folder may be moved).
    """

    def __init__(self, folder: Path, locks: Path) -> None:
        self._folder = folder
        self._log = EventLog(folder / LOG)
        self._lock = FileLock(locks / f"{folder.name}.lock", f"the session {folder.name}")
        self._thread_lock = RLock()
        self._events: list[Event] = []
        self._state = State(id=folder.name)

    def state(self) -> State:
        """The state as the log has it now; not to be changed by the caller.

        Raises:
            NotFoundError, InputError: as `EventLog.read_new`.
        """
        with self._thread_lock:
            self._take_in(self._log.read_new())
            return self._state

    def events(self) -> list[Event]:
        """Every event of the log, those that were taken back included."""
        with self._thread_lock:
            self.state()
            return list(self._events)

    @contextmanager
    def changing(self, known: int | None = None) -> Iterator[State]:
        """Alone with the session, its state up to date; `known` is the version on which the caller's wish is built.

        Raises:
            ConflictError: the session went on in between.
        """
        with self._thread_lock, self._lock:
            state = self.state()
            if known is not None and state.decided > known:
                raise ConflictError("This session went on in another tab or program. Look at its present state first.")
            yield state

    def write(self, *events: Event) -> State:
        """Append while `changing`; an event that cannot follow is refused before it is written."""
        stamped = self._log.stamped(events)
        state = self._after(stamped)
        self._log.append(stamped)
        self._events += stamped
        self._state = state
        return state

    def _take_in(self, fresh: Sequence[Event]) -> None:
        """What another object or program wrote."""
        if fresh:
            try:
                self._state = self._after(fresh)
            except InputError:
                self._log, self._events, self._state = EventLog(self._folder / LOG), [], State(id=self._folder.name)
                raise
            self._events += fresh

    def _after(self, fresh: Sequence[Event]) -> State:
        if any(event["type"] == "undone" for event in fresh):
            return replay([*self._events, *fresh], id=self._folder.name)
        state = self._state.copy()
        for event in fresh:
            apply(state, event)
        return state
