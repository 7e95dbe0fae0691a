"""The WebUI's infotext: the text in a picture that says how it was made, written and parsed (no torch here)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lib_hps.errors import InputError

if TYPE_CHECKING:
    import os

    from PIL.PngImagePlugin import PngInfo

# A1111, modules/infotext_utils.py: the grammar that every reader of these files shares
_PARAMETER = re.compile(r'\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)')
_KEY = re.compile(r"\w[\w \-/]+")
_NEGATIVE = "Negative prompt:"
_FEWEST_PARAMETERS = 3


@dataclass(frozen=True)
class Generation:
    """How a picture was made.

    Attributes:
        prompt: the positive prompt, as written by the tool (WebUI syntax included).
        negative: the negative prompt, "" where there is none.
        settings: "Steps", "Sampler", "Seed", ... in the WebUI's names and order, as text.
        source: the format it was read from: "a1111", "comfyui", "novelai", "exif" or "infotext".
    """

    prompt: str
    negative: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    source: str = "infotext"


def quote(value: object) -> str:
    """Write one value: plain as A1111 does, or as a JSON string where plain text would be read back wrongly."""
    text = str(value)
    plain = bool(text) and text == text.strip() and not text.startswith('"') and text.isprintable()
    return text if plain and not any(mark in text for mark in ",\n:") else json.dumps(text, ensure_ascii=False)


def unquote(text: str) -> str:
    """Undo `quote`; text that is no JSON string comes back as it is."""
    if len(text) < 2 or text[0] != '"' or text[-1] != '"':
        return text
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, str) else text


def format_infotext(prompt: str, *, negative: str = "", settings: Mapping[str, object | None] | None = None) -> str:
    r"""Write A1111's infotext: prompt, `Negative prompt: ...`, `Steps: 20, Sampler: DDIM, ...`.

    Args:
        prompt: may hold several lines; A1111 strips each line when it reads them back.
        negative: left out where it is empty.
        settings: values in the order to be written; None leaves a key out.

    Raises:
        InputError: a key that A1111's parser would not find again (its keys match `\w[\w \-/]+`).
    """
    words = []
    for key, value in (settings or {}).items():
        if not _KEY.fullmatch(key) or key != key.strip():
            raise InputError(
                f"{key!r} cannot be an infotext key. Use letters, digits, space, - and /, at least two of them."
            )
        if value is not None:
            words.append(f"{key}: {quote(value)}")
    negative_line = f"\n{_NEGATIVE} {negative}" if negative else ""
    return f"{prompt}{negative_line}\n{', '.join(words)}".strip()


def parse_infotext(text: str) -> Generation:
    """Read what `format_infotext`, A1111, Forge or SD.Next wrote; text without settings is all prompt."""
    lines = text.strip().split("\n")
    at = _settings_line(lines)
    settings = {key: unquote(value) for key, value in _PARAMETER.findall(lines[at])} if at is not None else {}
    prompt: list[str] = []
    negative: list[str] = []
    target = prompt
    for line in (line.strip() for line in lines[:at]):
        if line.startswith(_NEGATIVE):
            target = negative
            target.append(line[len(_NEGATIVE) :].strip())
        else:
            target.append(line)
    return Generation("\n".join(prompt).strip(), "\n".join(negative).strip(), settings)


def _settings_line(lines: list[str]) -> int | None:
    """Index of the settings: the last line with 3 parameters (A1111's rule), else a `Steps:` line above those."""
    for at in range(len(lines) - 1, -1, -1):
        is_last = at == len(lines) - 1
        if (is_last or lines[at].startswith("Steps: ")) and len(_PARAMETER.findall(lines[at])) >= _FEWEST_PARAMETERS:
            return at
    return None


def png_info(infotext: str) -> PngInfo:
    """The PNG text chunk `parameters` in which the WebUI keeps its infotext (UTF-8 where Latin-1 does not do)."""
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_text("parameters", infotext.encode(errors="replace").decode())
    return info


def exif_bytes(infotext: str) -> bytes:
    """EXIF with the infotext as UserComment, as A1111 writes it into JPEG and WebP (`UNICODE` + UTF-16 big-endian)."""
    from PIL import Image

    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9286] = b"UNICODE\0" + infotext.encode("utf-16-be", errors="surrogatepass")
    return exif.tobytes()


def read_generation(path: str | os.PathLike[str]) -> Generation | None:
    """Read how a picture was made from its own file: A1111 and its forks, ComfyUI, NovelAI, or plain EXIF.

    Args:
        path: PNG, JPEG, WebP, AVIF, GIF; anything that Pillow opens.

    Returns:
        None for a good picture that says nothing about itself.

    Raises:
        InputError: the file is missing, no picture, or damaged.
    """
    from lib_hps.infotext_readers import read

    return read(path)
