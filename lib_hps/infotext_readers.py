"""Readers of the places where image generators leave their prompts inside a picture file."""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lib_hps.errors import InputError
from lib_hps.infotext import Generation, parse_infotext

_EXIF_IFD, _USER_COMMENT, _DESCRIPTION, _MAKE, _MODEL = 0x8769, 0x9286, 0x010E, 0x010F, 0x0110
# what Pillow's format plugins are known to raise on damaged or hostile files
_DAMAGE = (
    OSError, ValueError, SyntaxError, TypeError, KeyError, IndexError, AttributeError, EOFError, OverflowError,
    RecursionError, NotImplementedError, ZeroDivisionError, MemoryError, struct.error, zlib.error,
)  # fmt: skip


def read(path: str | os.PathLike[str]) -> Generation | None:
    """See `lib_hps.infotext.read_generation`."""
    from PIL import Image

    if not Path(path).is_file():
        raise InputError(f"{path} is not a file. Give the path of a picture.")
    try:
        with Image.open(path) as image:
            texts = {str(key): _text(value) for key, value in image.info.items() if isinstance(value, (str, bytes))}
            found = _from_texts(texts) or _from_exif(image.getexif())
            if found is None and image.format == "PNG" and isinstance(late := getattr(image, "text", None), dict):
                found = _from_texts({key: str(value) for key, value in late.items()})  # chunks after the pixels
            return found
    except (*_DAMAGE, Image.DecompressionBombError) as error:
        raise InputError(
            f"{path} cannot be read as a picture ({type(error).__name__}: {error}). It may be damaged."
        ) from error


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("utf-8", errors="replace")


def _from_texts(texts: Mapping[str, str]) -> Generation | None:
    """PNG text chunks (and a GIF's comment), most reliable first."""
    if texts.get("parameters", "").strip():
        return _named(parse_infotext(texts["parameters"]), "a1111")
    if "prompt" in texts and (found := _comfy(texts["prompt"])):
        return found
    if found := _novelai(texts):
        return found
    comment = texts.get("comment", "")
    return _named(parse_infotext(comment), "a1111") if "Steps: " in comment else None


def _named(generation: Generation, source: str) -> Generation:
    return Generation(generation.prompt, generation.negative, generation.settings, source)


def _from_exif(exif: Any) -> Generation | None:
    comment = exif.get_ifd(_EXIF_IFD).get(_USER_COMMENT)
    text = (decode_user_comment(comment) if isinstance(comment, bytes) else str(comment or "")).strip("\0 \r\n")
    if text.startswith("{") and (found := _comfy(text)):
        return found
    if text:
        return _named(parse_infotext(text), "a1111")
    for tag in (_DESCRIPTION, _MAKE, _MODEL):
        value = str(exif.get(tag) or "").strip("\0 \r\n")
        name, _, graph = value.partition(":")
        if name.lower() == "prompt" and (found := _comfy(graph)):  # ComfyUI's WebP nodes: "prompt:{...}"
            return found
        if tag == _DESCRIPTION and value:
            return _named(parse_infotext(value), "exif")
    return None


def decode_user_comment(raw: bytes) -> str:
    """Decode an EXIF UserComment: 8 bytes of character code, then text (`UNICODE`: UTF-16 of either byte order)."""
    code, body = raw[:8], raw[8:]
    if code.startswith(b"UNICODE"):
        if body[:2] in (b"\xff\xfe", b"\xfe\xff"):
            return body.decode("utf-16", errors="replace")
        # mostly Latin text: the zero bytes come first in big-endian; A1111 (piexif) writes big-endian, so ties go there
        is_big = body[0::2].count(0) >= body[1::2].count(0)
        return body.decode("utf-16-be" if is_big else "utf-16-le", errors="replace")
    if code in (b"ASCII\0\0\0", b"\0" * 8):
        return body.decode("utf-8", errors="replace")
    if code.startswith(b"JIS"):
        return body.decode("iso2022_jp", errors="replace")
    return raw.decode("utf-8", errors="replace")


def _json(text: str) -> Any:
    """Parsed JSON, or None where the text is none (too deep and too long numbers included)."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _novelai(texts: Mapping[str, str]) -> Generation | None:
    comment = _json(texts.get("Comment", ""))
    if not isinstance(comment, dict) or not {"uc", "prompt", "scale", "sampler"} & comment.keys():
        return None
    names = {"steps": "Steps", "sampler": "Sampler", "scale": "CFG scale", "seed": "Seed"}
    settings = {
        name: str(comment[key]) for key, name in names.items() if isinstance(comment.get(key), (str, int, float))
    }
    prompt = texts.get("Description") or comment.get("prompt")
    negative = comment.get("uc")
    if not isinstance(prompt, str):
        return None
    return Generation(prompt.strip(), negative.strip() if isinstance(negative, str) else "", settings, "novelai")


def _comfy(text: str) -> Generation | None:
    from lib_hps.infotext_comfy import read_graph

    graph = _json(text)
    return read_graph(graph) if isinstance(graph, dict) else None
