"""What runs in the background: one task for each session, with progress, a way to stop it, and its last words."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event, Lock, Thread
from typing import Literal

from lib_hps.errors import Cancelled, ConflictError, HpsError
from lib_hps.session.lock import FileLock

Kind = Literal["draw", "auto", "mixed", "finish"]
log = logging.getLogger(__name__)


@dataclass
class Task:
    """A running or finished task.

    Attributes:
        text, done: progress in words and as a share.
        preview: file name of a thumbnail to show meanwhile.
        note: what came of it, in words; "" for nothing to say.
        error: why it stopped, None if it did not fail.
    """

    kind: Kind
    text: str = "starting"
    done: float = 0.0
    preview: str | None = None
    note: str = ""
    error: str | None = None
    cancelled: Event = field(default_factory=Event)
    finished: Event = field(default_factory=Event)
    _began_s: float = field(default_factory=time.monotonic)

    def report(self, text: str, done: float, preview: str | None = None) -> None:
        """Say how far it is."""
        self.text, self.done = text, min(1.0, max(0.0, done))
        self.preview = preview or self.preview

    @property
    def eta_s(self) -> float | None:
        """Seconds left, judging by the share that is done; None while it is too early to say."""
        spent = time.monotonic() - self._began_s
        if self.done < 0.01 or spent < 0.5:
            return None
        return round(spent * (1 - self.done) / self.done, 1)


class Tasks:
    """The tasks of one service, by session."""

    def __init__(self) -> None:
        self._tasks: dict[str, Task] = {}
        self._lock = Lock()

    def running(self, session: str) -> Task | None:
        """The task that runs now."""
        task = self._tasks.get(session)
        return task if task is not None and not task.finished.is_set() else None

    def last(self, session: str) -> Task | None:
        """The running or the last task."""
        return self._tasks.get(session)

    def start(self, session: str, kind: Kind, work: Callable[[Task], None], lock: FileLock) -> Task:
        """Run `work` in a thread.

        Raises:
            ConflictError: a task of that session runs already, here or in another program.
        """
        with self._lock:
            self._refuse_second(session)
            lock.acquire()
            task = self._tasks[session] = Task(kind)
        Thread(target=self._run, args=(task, work, lock), daemon=True, name=f"hps-{kind}-{session}").start()
        return task

    @contextmanager
    def attend(self, session: str, kind: Kind, lock: FileLock) -> Iterator[Task]:
        """The same for work that the caller does himself, inside the `with`.

        Raises:
            ConflictError: as `start`.
        """
        with self._lock:
            self._refuse_second(session)
            lock.acquire()
            task = self._tasks[session] = Task(kind)
        try:
            yield task
        except BaseException as error:
            task.error = None if isinstance(error, Cancelled) else " ".join(str(error).split()) or type(error).__name__
            raise
        finally:
            lock.release()
            task.finished.set()

    def _refuse_second(self, session: str) -> None:
        running = self.running(session)
        if running is not None:
            raise ConflictError(f"This session is busy ({running.kind}). Wait for it, or cancel it first.")

    def _run(self, task: Task, work: Callable[[Task], None], lock: FileLock) -> None:
        try:
            work(task)
        except HpsError as error:
            task.error = " ".join(str(error).split())
        except Exception as error:  # a thread's last words would be lost otherwise
            log.exception("The task %s failed.", task.kind)
            task.error = f"{type(error).__name__}: {error}"
        finally:
            lock.release()
            task.finished.set()

    def stop(self, session: str, *, patience_s: float = 0.0) -> None:
        """Ask the running task to stop, and wait for it a while."""
        task = self.running(session)
        if task is not None:
            task.cancelled.set()
            task.finished.wait(patience_s)

    def ids(self) -> list[str]:
        """Sessions that have or had a task."""
        return list(self._tasks)

    def forget(self, session: str) -> None:
        """Drop the last words of a finished task."""
        with self._lock:
            if self.running(session) is None:
                self._tasks.pop(session, None)
