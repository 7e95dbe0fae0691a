"""A session's pictures: named after their content, so that a name tells nothing and a file never changes."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from lib_hps.errors import InputError, NotFoundError
from lib_hps.files import atomic_write
from lib_hps.infotext import png_info
from lib_hps.session.names import PICTURE, THUMB

if TYPE_CHECKING:
    from PIL.Image import Image

THUMB_PX = 256
MOST_BYTES = 64 << 20
_QUALITY = 85


def store_picture(folder: Path, image: Image, infotext: str) -> tuple[str, str]:
    """Write the picture as PNG with its infotext, and a thumbnail.

    Returns:
        Their file names, in `pictures` and `thumbs` of the folder.

    Raises:
        StorageError: not writable; nothing half is left.
    """
    stream = io.BytesIO()
    image.convert("RGB").save(stream, "PNG", pnginfo=png_info(infotext))
    return store_png(folder, stream.getvalue())


def store_png(folder: Path, png: bytes) -> tuple[str, str]:
    """Like `store_picture`, for a file as the host has saved it.

    Raises:
        InputError: it is no PNG picture, or too big.
        StorageError: as above.
    """
    if len(png) > MOST_BYTES:
        raise InputError(f"A picture has {len(png) >> 20} MiB; at most {MOST_BYTES >> 20} are taken.")
    stem = content_name(png)
    small = make_thumb(png)  # fails before anything is written
    picture, thumb = folder / "pictures" / f"{stem}.png", folder / "thumbs" / f"{stem}.jpg"
    for path, content in ((picture, png), (thumb, small)):
        if not path.is_file():
            with atomic_write(path) as stream:
                stream.write(content)
    return picture.name, thumb.name


def content_name(png: bytes) -> str:
    """Twenty hex digits of the SHA-256."""
    return hashlib.sha256(png).hexdigest()[:20]


def make_thumb(png: bytes) -> bytes:
    """A JPEG of at most 256 pixels a side; tiny pictures stay as small as they are.

    Raises:
        InputError: not a PNG, damaged, or with too many pixels.
    """
    from PIL import Image

    from lib_hps.scoring.images import MAX_PIXELS, open_image

    if not png.startswith(b"\x89PNG\r\n\x1a\n"):
        raise InputError("A picture of a session has to be a PNG.")
    try:
        with Image.open(io.BytesIO(png), formats=("PNG",)) as image:
            if image.width * image.height > MAX_PIXELS:
                raise InputError(f"A picture has more than {MAX_PIXELS:,} pixels.")
            small = open_image(image)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise error if isinstance(error, InputError) else InputError(f"A picture is damaged: {error}.") from error
    small.thumbnail((THUMB_PX, THUMB_PX), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    small.save(stream, "JPEG", quality=_QUALITY)
    return stream.getvalue()


def share_pictures(source: Path, target: Path) -> None:
    """Give another session the same pictures; they never change, so the disk holds them once where it can.

    Raises:
        OSError: they cannot be written.
    """
    for kind, pattern in (("pictures", PICTURE), ("thumbs", THUMB)):
        (target / kind).mkdir()
        for path in (source / kind).iterdir() if (source / kind).is_dir() else ():
            if pattern.fullmatch(path.name):  # what is being written has another name
                try:
                    os.link(path, target / kind / path.name)
                except OSError:  # another disk, or a file system without links
                    shutil.copyfile(path, target / kind / path.name)


def picture_path(folder: Path, file: str) -> Path:
    """The path of a picture or thumbnail that a caller names.

    Raises:
        NotFoundError: it is no such name, or not there.
    """
    kind = "pictures" if PICTURE.fullmatch(file) else "thumbs" if THUMB.fullmatch(file) else None
    path = folder / kind / file if kind else None
    if path is None or not path.is_file() or path.is_symlink():
        raise NotFoundError(f"There is no picture {file[:60]!r} in this session.")
    return path


@lru_cache(maxsize=256)
def read_infotext(path: Path) -> str:
    """The infotext in a PNG of a session (whose files never change), "" where it has none."""
    from PIL import Image

    with Image.open(path) as image:
        return str(image.info.get("parameters", ""))
