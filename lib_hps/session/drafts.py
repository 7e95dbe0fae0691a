"""Sessions are prepared in a hidden folder beside the others and appear by one rename: whole, or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from lib_hps.errors import HpsError, StorageError
from lib_hps.session.journal import LOG
from lib_hps.session.log import Event, EventLog, sync_folder
from lib_hps.session.pictures import share_pictures

_DRAFT, _STALE_S = ".new-", 3600.0


def draft_folder(root: Path) -> Path:
    """A folder in which a session can be prepared, on the same disk as the sessions in `root`.

    Raises:
        StorageError: the root is not writable.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        _sweep(root)
        return Path(tempfile.mkdtemp(prefix=_DRAFT, dir=root))
    except OSError as error:
        raise StorageError(f"Cannot write {root}: {error.strerror}. Choose another folder.") from error


def draft_of(root: Path, events: list[Event], *, pictures_of: Path | None = None) -> Path:
    """A draft with these events, and the pictures of the session in the folder `pictures_of`.

    Raises:
        StorageError: as above.
    """
    draft = draft_folder(root)
    try:
        if pictures_of is not None:
            share_pictures(pictures_of, draft)
        log = EventLog(draft / LOG)
        log.append(log.stamped(events))
    except (OSError, HpsError) as error:
        shutil.rmtree(draft, ignore_errors=True)
        raise error if isinstance(error, HpsError) else StorageError(f"Cannot write {draft}: {error}.") from error
    return draft


def move_into_place(draft: Path, target: Path) -> None:
    """Make a draft a session.

    Raises:
        StorageError: it cannot be moved; the draft is removed.
    """
    try:
        umask = os.umask(0)  # mkdtemp makes private folders; give what an ordinary mkdir would
        os.umask(umask)
        draft.chmod(0o777 & ~umask)
        draft.rename(target)
        sync_folder(target.parent)
    except OSError as error:
        shutil.rmtree(draft, ignore_errors=True)
        raise StorageError(f"Cannot write {target}: {error.strerror}.") from error


def _sweep(root: Path) -> None:
    """Remove what a kill has left half prepared."""
    for draft in root.glob(f"{_DRAFT}*"):
        with suppress(OSError):
            if time.time() - draft.stat().st_mtime > _STALE_S:
                shutil.rmtree(draft, ignore_errors=True)
