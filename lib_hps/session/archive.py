"""A session as one zip file, and back, from whomever: nothing in it is believed before it was checked."""

from __future__ import annotations

import re
import shutil
import stat
import zipfile
import zlib
from pathlib import Path

from lib_hps.errors import HpsError, InputError
from lib_hps.files import atomic_write
from lib_hps.session.drafts import draft_folder
from lib_hps.session.journal import LOG
from lib_hps.session.log import EventLog
from lib_hps.session.names import PICTURE, is_id
from lib_hps.session.pictures import MOST_BYTES, content_name, store_png
from lib_hps.session.replay import replay
from lib_hps.session.session import Session
from lib_hps.session.store import SessionStore

MOST_FILES = 20_000
MOST_LOG_BYTES = 128 << 20
MOST_TOTAL_BYTES = 8 << 30
_MOST_RATIO = 1000  # the log's own text may be compressed 20 times, PNG hardly at all
_ID_FILE = "session-id.txt"
_PICTURE = re.compile(r"pictures/" + PICTURE.pattern, re.ASCII)


def export_session(session: Session, target: Path) -> Path:
    """Write log and pictures; thumbnails are made again where it is read.

    Raises:
        StorageError: it cannot be written; nothing half is left.
    """
    session.state()
    with atomic_write(target) as stream, zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(_ID_FILE, session.id)
        raw = (session.folder / LOG).read_bytes()
        archive.writestr(LOG, raw[: raw.rfind(b"\n") + 1])
        for picture in sorted((session.folder / "pictures").glob("*.png")):
            if PICTURE.fullmatch(picture.name):
                archive.write(picture, f"pictures/{picture.name}", zipfile.ZIP_STORED)
    return target


def import_session(store: SessionStore, source: Path) -> Session:
    """Read `export_session`'s zip as a session of its own id, or of a new one where that is taken.

    Raises:
        InputError: it is no such zip, or a part of it is not what it should be; nothing is left behind.
        StorageError: the sessions' folder cannot be written.
    """
    try:
        with zipfile.ZipFile(source) as archive:
            entries = _checked(archive)
            draft = draft_folder(store.root)
            try:
                id = _unpack(archive, entries, draft)
            except BaseException:
                shutil.rmtree(draft, ignore_errors=True)
                raise
    except HpsError:
        raise
    except (zipfile.BadZipFile, OSError, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise InputError(f"This file is no zip of a session, or it is damaged ({error}). Export it again.") from error
    return store.publish(draft, id=id)


def _checked(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """The entries by name, before anything is unpacked."""
    infos = archive.infolist()
    if len(infos) > MOST_FILES:
        raise InputError(f"The zip holds {len(infos)} files; a session has at most {MOST_FILES}.")
    entries: dict[str, zipfile.ZipInfo] = {}
    for info in infos:
        name = info.filename
        kind = stat.S_IFMT(info.external_attr >> 16)
        if name not in (LOG, _ID_FILE) and not _PICTURE.fullmatch(name):
            raise InputError(f"{name[:80]!r} does not belong into a session's zip, so nothing was unpacked.")
        if kind not in (0, stat.S_IFREG) or info.flag_bits & 1:
            raise InputError(f"{name!r} in the zip is a link, no plain file, or encrypted. Export the session again.")
        if name in entries:
            raise InputError(f"{name!r} is twice in the zip. Export the session again.")
        if info.file_size > _limit(name) or info.file_size > _MOST_RATIO * max(info.compress_size, 1):
            raise InputError(f"{name!r} in the zip would be {info.file_size:,} bytes large: too big to unpack.")
        entries[name] = info
    if LOG not in entries:
        raise InputError(f"The zip holds no {LOG}, so it is no session.")
    total = sum(info.file_size for info in infos)
    if total > MOST_TOTAL_BYTES:
        raise InputError(f"The zip would be {total:,} bytes large; at most {MOST_TOTAL_BYTES:,} are unpacked.")
    return entries


def _limit(name: str) -> int:
    return MOST_LOG_BYTES if name == LOG else 100 if name == _ID_FILE else MOST_BYTES


def _unpack(archive: zipfile.ZipFile, entries: dict[str, zipfile.ZipInfo], draft: Path) -> str | None:
    """Fill the folder; gives the id that the session had."""
    with atomic_write(draft / LOG) as stream:
        stream.write(_read(archive, entries[LOG]))
    events = EventLog(draft / LOG).read_new()
    state = replay(events, id="of the zip")
    if not state.created:
        raise InputError("The log in the zip is empty, so it is no session.")
    there = {name for name in entries if name not in (LOG, _ID_FILE)}
    for file in {drawn.file for drawn in state.pictures.values()} | {final.file for final in state.finals}:
        if f"pictures/{file}" not in there:
            raise InputError(f"The log in the zip names the picture {file}, which is not in the zip.")
    for name in sorted(there):
        png = _read(archive, entries[name])
        if content_name(png) != Path(name).stem:
            raise InputError(f"{name!r} in the zip is not the picture that its name stands for.")
        store_png(draft, png)
    raw = _read(archive, entries[_ID_FILE]).decode("ascii", "replace") if _ID_FILE in entries else ""
    return raw if is_id(raw) else None


def _read(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """An entry's bytes; what a header says of its size is not believed."""
    limit = _limit(info.filename)
    with archive.open(info) as stream:
        content = stream.read(limit + 1)
    if len(content) > limit:
        raise InputError(f"{info.filename!r} in the zip is larger than {limit:,} bytes: too big to unpack.")
    return content
