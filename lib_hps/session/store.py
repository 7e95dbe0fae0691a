"""All sessions of one folder: make, open, list, branch, throw away and take back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import Any

from lib_hps.errors import ConflictError, HpsError, InputError, NotFoundError, StorageError
from lib_hps.ranking import make_optimizer
from lib_hps.session.drafts import draft_of, move_into_place
from lib_hps.session.journal import LOG
from lib_hps.session.lock import FileLock
from lib_hps.session.log import Event, sync_folder
from lib_hps.session.names import check_id, check_name, is_id, new_id
from lib_hps.session.session import Session
from lib_hps.session.settings import check_optimizer, check_settings
from lib_hps.session.state import FACTS, live_events

TRASH = "trash"
_LOCKS = ".locks"


@dataclass(frozen=True)
class Listed:
    """A line of the list of sessions.

    Attributes:
        rounds: that were answered.
        thumb: file name of the incumbent's thumbnail, None where nothing was answered.
        problem: why it cannot be opened, else None.
    """

    id: str
    name: str
    created: str
    updated: str
    rounds: int
    thumb: str | None
    problem: str | None = None


class SessionStore:
    """Sessions as folders of `root`; the folder is made when the first session is."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self._open: dict[str, Session] = {}
        self._lock = Lock()

    def create(
        self, *, name: str, settings: Mapping[str, Any], optimizer: Mapping[str, Any], id: str | None = None
    ) -> Session:
        """A new session, with its first round asked; under `id` if one is given.

        Raises:
            ConflictError: there is one of that id, in the trash perhaps.
            InputError: a value that cannot be; nothing is made then.
            StorageError: the folder is not writable.
        """
        checked = check_optimizer(optimizer)
        if id is not None and any((self.root / place / check_id(id)).exists() for place in ("", TRASH)):
            raise ConflictError(f"There is a session {id} already. Open it, or take it from the trash.")
        make_optimizer(checked["name"], seed=checked["seed"], batch=checked["batch"], **checked["params"])
        first: Event = {
            "type": "created",
            "name": check_name(name),
            "settings": check_settings(settings),
            "optimizer": checked,
            "origin": None,
        }
        session = self.publish(draft_of(self.root, [first]), id=id)
        session.ask()
        return session

    def open(self, id: str) -> Session:
        """The session of that id; the same object for every caller of this process.

        Raises:
            NotFoundError: there is none.
            InputError: its log is damaged.
        """
        folder = self.root / check_id(id)
        with self._lock:
            if folder.is_symlink() or not (folder / LOG).is_file():
                self._open.pop(id, None)
                raise NotFoundError(f"There is no session {id}. It may be in the trash.")
            session = self._open.setdefault(id, Session(folder, self.root / _LOCKS))
        try:
            session.state()
        except InputError:
            with self._lock:
                self._open.pop(id, None)  # the log may have been mended or replaced by hand: read it from its beginning
            raise
        return session

    def listing(self) -> list[Listed]:
        """All sessions, what was changed last first; a damaged one is listed with its problem."""
        if not self.root.is_dir():
            return []
        found = [self._listed(folder.name, self.open) for folder in self.root.iterdir() if is_id(folder.name)]
        return sorted((line for line in found if line), key=lambda line: (line.updated, line.id), reverse=True)

    def trashed(self) -> list[Listed]:
        """What lies in the trash folder, without thumbnails, in the same order."""
        folder = self.root / TRASH
        names = [inner.name for inner in folder.iterdir() if is_id(inner.name)] if folder.is_dir() else []
        found = [self._listed(name, lambda id: Session(folder / id, self.root / _LOCKS)) for name in names]
        gone = (replace(line, thumb=None) for line in found if line)
        return sorted(gone, key=lambda line: (line.updated, line.id), reverse=True)

    def _listed(self, id: str, opened: Callable[[str], Session]) -> Listed | None:
        try:
            state = opened(id).state()
        except NotFoundError:
            return None
        except HpsError as error:
            return Listed(id, id, "", "", 0, None, str(error))
        picture = state.answers[-1].picture if state.answers else None
        shown = picture or next(iter(state.pictures.values()), None)
        return Listed(id, state.name, state.created, state.updated, len(state.answers), shown.thumb if shown else None)

    def branch(self, id: str, round: int) -> Session:
        """A new session that is as this one was before the answer of `round`.

        Raises:
            InputError: that round is neither answered nor the present one.
        """
        session = self.open(id)
        events, state = session.events(), session.state()
        if isinstance(round, bool) or not isinstance(round, int) or not 1 <= round <= state.round:
            raise InputError(f"There is no round {round!r} to branch from; rounds are 1 to {state.round}.")
        live = live_events(events)
        if round < state.round:
            last = state.answers[round - 1].event
            live = [event for event in live if event["n"] < last or event["type"] in FACTS]
        # finals stay with the session in which they were made
        kept = [event for event in live if event["type"] not in ("final", "renamed", "automatic")]
        first = {
            **kept[0],
            "name": check_name(f"{state.name[:180]} (from round {round})"),
            "origin": {"session": id, "round": round},
        }
        copied = [{key: value for key, value in event.items() if key not in ("n", "v", "time")} for event in kept[1:]]
        first = {key: value for key, value in first.items() if key not in ("n", "v", "time")}
        made = self.publish(draft_of(self.root, [first, *copied], pictures_of=session.folder))
        made.ask()
        return made

    def trash(self, id: str) -> None:
        """Move a session to the trash folder.

        Raises:
            NotFoundError: there is none.
        """
        folder = self.root / check_id(id)
        if folder.is_symlink() or not folder.is_dir():
            raise NotFoundError(f"There is no session {id}.")
        self._move(folder, self.root / TRASH / id)

    def restore(self, id: str) -> Session:
        """Take a session back from the trash.

        Raises:
            NotFoundError: it is not there.
            ConflictError: there is one of that id again.
        """
        folder = self.root / TRASH / check_id(id)
        if folder.is_symlink() or not folder.is_dir():
            raise NotFoundError(f"There is no session {id} in the trash.")
        self._move(folder, self.root / id)
        return self.open(id)

    def lock_for(self, id: str, purpose: str) -> FileLock:
        """A lock of this session that fails at once where somebody holds it: one task at a time, in all programs."""
        return FileLock(self.root / _LOCKS / f"{check_id(id)}.{purpose}.lock", f"the session {id}", patience_s=0)

    def publish(self, draft: Path, *, id: str | None = None) -> Session:
        """Make a folder of `draft_folder` a session, under `id` if that is free.

        Raises:
            StorageError: it cannot be moved; the draft is removed.
        """
        taken = id is None or not is_id(id) or (self.root / id).exists() or (self.root / TRASH / id).exists()
        target = self.root / (new_id() if taken or id is None else id)
        move_into_place(draft, target)
        return self.open(target.name)

    def _move(self, source: Path, target: Path) -> None:
        id = source.name
        with FileLock(self.root / _LOCKS / f"{id}.lock", f"the session {id}"):
            if target.exists():
                raise ConflictError(f"There is a {target.parent.name}/{id} already.")
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                source.rename(target)
            except OSError as error:
                raise StorageError(f"Cannot move {source} to {target}: {error.strerror}.") from error
            with suppress(OSError):
                sync_folder(target.parent)
        with self._lock:
            self._open.pop(id, None)
