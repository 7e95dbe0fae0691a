"""What a weight file is, told from its first bytes, before anything is loaded. No torch here."""

from __future__ import annotations

import json
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lib_hps.errors import WeightsError

AGAIN = "Delete it and download it again."
# What the weights-only unpickler, the zip reader and the header's JSON raise on damaged bytes.
DAMAGE = (RuntimeError, EOFError, ValueError, LookupError, TypeError, AttributeError, AssertionError, struct.error)
_LONGEST_HEADER = 100_000_000  # the safetensors format's own limit


@dataclass(frozen=True)
class Header:
    """What a weight file says about itself: tensor shapes by name and its metadata."""

    kind: Literal["safetensors", "torch"]
    size_bytes: int
    metadata: dict[str, str]
    shapes: dict[str, tuple[int, ...]]


def sniff(path: Path) -> tuple[bytes, int]:
    """The first bytes and the size of a file that may hold weights.

    Raises:
        WeightsError: no such file, empty, or a web page or Git LFS pointer saved in its place.
    """
    try:
        with path.open("rb") as stream:
            start = stream.read(512)
            size = os.fstat(stream.fileno()).st_size
    except OSError as error:
        raise WeightsError(f"Cannot read the weights {path}: {error.strerror}. Check the path.") from error
    if not size:
        raise WeightsError(f"{path} is empty: the download did not finish. {AGAIN}")
    if start.startswith(b"version https://git-lfs"):
        raise WeightsError(f"{path} is a Git LFS pointer, not the weights. Run `git lfs pull`, or download the file.")
    if start.lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        raise WeightsError(
            f"{path} is a web page, not weights. Download the file itself (its 'raw' or 'resolve' link)."
        )
    return start, size


def is_safetensors(path: Path, start: bytes) -> bool:
    """By content, so that a wrong ending does no harm: eight bytes of length, then a JSON object."""
    if start[8:9] == b"{":
        return True
    return path.suffix.lower() == ".safetensors" and not start.startswith((b"PK", b"\x80\x02"))


def safetensors_header(path: Path) -> Header:
    """Shapes and metadata of a safetensors file, read without torch and without the weights.

    Raises:
        WeightsError: as `sniff`, or the file is shorter than its header says.
    """
    start, size = sniff(path)
    length = int.from_bytes(start[:8], "little")
    damaged = f"{path} is damaged or only half downloaded"
    if size < 8 or length > min(size - 8, _LONGEST_HEADER):
        raise WeightsError(f"{damaged} (no complete safetensors header in {size:,} bytes). {AGAIN}")
    with path.open("rb") as stream:
        stream.seek(8)
        try:
            fields = json.loads(stream.read(length))
            metadata = {str(key): str(value) for key, value in fields.pop("__metadata__", {}).items()}
            shapes = {name: tuple(field["shape"]) for name, field in fields.items()}
            end = 8 + length + max((field["data_offsets"][1] for field in fields.values()), default=0)
        except DAMAGE as error:
            raise WeightsError(f"{damaged} (its safetensors header is not readable). {AGAIN}") from error
    if size < end:
        raise WeightsError(f"{damaged}: it has {size:,} of {end:,} bytes. {AGAIN}")
    return Header("safetensors", size, metadata, shapes)
