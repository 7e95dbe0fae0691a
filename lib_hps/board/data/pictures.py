"""Pictures for a page, by a key that says nothing about where they lie; only what was shown can be fetched."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from threading import Lock

from lib_hps.errors import NotFoundError
from lib_hps.preferences.adding import suffix_of
from lib_hps.preferences.records import Picture

_MOST = 4096
_TYPES = {".png": "image/png", ".jpg": "image/jpeg", ".webp": "image/webp", ".gif": "image/gif", ".bmp": "image/bmp"}


class PictureBook:
    """Remembers the pictures that were shown last."""

    def __init__(self) -> None:
        self._pictures: OrderedDict[str, Picture] = OrderedDict()
        self._lock = Lock()

    def key(self, picture: Picture) -> str:
        """The key of a picture."""
        key = hashlib.sha256(f"{picture.path}\0{picture.name}".encode()).hexdigest()[:24]
        with self._lock:
            self._pictures[key] = picture
            self._pictures.move_to_end(key)
            while len(self._pictures) > _MOST:
                self._pictures.popitem(last=False)
        return key

    def read(self, key: str) -> tuple[bytes, str]:
        """(content, media type).

        Raises:
            NotFoundError: it was not shown, or is no picture that a browser shows.
            StorageError: it cannot be read.
        """
        with self._lock:
            picture = self._pictures.get(key)
        if picture is None:
            raise NotFoundError("There is no such picture.")
        content = picture.read()
        kind = _TYPES.get(suffix_of(content))
        if kind is None:
            raise NotFoundError(f"{picture.name} is no picture that can be shown.")
        return content, kind
