"""Ids and file names: what a caller may ask for, checked before any path is made."""

from __future__ import annotations

import re
import secrets
import time

from lib_hps.errors import InputError, NotFoundError

_ID = re.compile(r"[0-9]{8}-[0-9]{6}-[a-z0-9]{6}", re.ASCII)
PICTURE = re.compile(r"[0-9a-f]{20}\.png", re.ASCII)
THUMB = re.compile(r"[0-9a-f]{20}\.jpg", re.ASCII)
_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
_LONGEST_NAME = 200


def new_id() -> str:
    """Date, time (UTC) and six random characters."""
    return time.strftime("%Y%m%d-%H%M%S-", time.gmtime()) + "".join(secrets.choice(_LETTERS) for _ in range(6))


def is_id(text: object) -> bool:
    """Whether it has the form of an id."""
    return isinstance(text, str) and _ID.fullmatch(text) is not None


def check_id(text: object) -> str:
    """Give an id back.

    Raises:
        NotFoundError: it has not the form of one.
    """
    if not isinstance(text, str) or not _ID.fullmatch(text):
        raise NotFoundError(f"{str(text)[:60]!r} is no session. Ids look like 20261124-030000-a1b2c3.")
    return text


def name_from(prompt: str) -> str:
    """A name for a session that was given none: the beginning of its prompt."""
    printable = "".join(mark if mark.isprintable() else " " for mark in prompt[:1000])
    return " ".join(printable.split())[:80] or "session"


def check_name(text: object) -> str:
    """A session's name, stripped.

    Raises:
        InputError: empty, too long, or with control characters.
    """
    name = text.strip() if isinstance(text, str) else ""
    if not 0 < len(name) <= _LONGEST_NAME or not name.isprintable():
        raise InputError(f"{str(text)[:60]!r} cannot be a name. Give 1 to {_LONGEST_NAME} printable characters.")
    return name
