"""What CLIP's tokenizer does to a text before splitting it: repair, unescape, collapse white space, lower-case."""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Callable
from functools import cache
from typing import Literal

Cleaning = Literal["clip", "transformers"]

_SURROGATES = re.compile("[\ud800-\udfff]")
# The repairs of ftfy that matter to prompts: curly quotes, Latin ligatures, control characters.
_REPAIRS = {
    **dict.fromkeys(map(ord, "\u02bc\u2018\u2019\u201a\u201b"), "'"),
    **dict.fromkeys(map(ord, "\u201c\u201d\u201e\u201f"), '"'),
    **{0xFB00: "ff", 0xFB01: "fi", 0xFB02: "fl", 0xFB03: "ffi", 0xFB04: "ffl", 0xFB05: "ſt", 0xFB06: "st"},
    **dict.fromkeys([*range(9), 0xB, *range(0xE, 0x20), 0x7F, *range(0x206A, 0x2070), 0xFEFF]),
    # full-width ASCII, such as that of Japanese keyboards
    **{code: chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)},
    0x3000: " ",
}


def basic_fix(text: str) -> str:
    """What is done where ftfy is not installed: quotes, ligatures, widths, control characters, NFC.

    Mojibake (text decoded with the wrong encoding) is left as it is.
    """
    return unicodedata.normalize("NFC", text.translate(_REPAIRS))


@cache
def fixer() -> Callable[[str], str]:
    """ftfy's repair where it is installed, `basic_fix` elsewhere."""
    try:
        from ftfy import fix_text
    except ImportError:
        return basic_fix
    return fix_text


def clean(text: str) -> str:
    """The text as CLIP's tokenizer splits it, the same as OpenAI's and open_clip's where ftfy is installed."""
    text = _SURROGATES.sub("\ufffd", fixer()(text))  # what is left of them has no UTF-8
    text = html.unescape(html.unescape(text))
    return " ".join(text.split()).lower()


def clean_like_transformers(text: str) -> str:
    """What transformers' CLIP tokenizer (PickScore's) does instead: no repair, so that a curly quote stays one."""
    text = _SURROGATES.sub("\ufffd", unicodedata.normalize("NFC", text))
    return re.sub(r"\s+", " ", text).lower()


CLEANINGS: dict[Cleaning, Callable[[str], str]] = {"clip": clean, "transformers": clean_like_transformers}


def _character_class(initial: str) -> str:
    """A `re` character class of all code points whose Unicode category begins with `initial`, as ranges."""
    codes = [code for code in range(0x110000) if unicodedata.category(chr(code))[0] == initial]
    ranges: list[list[int]] = []
    for code in codes:
        if ranges and ranges[-1][1] == code - 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    return "".join(f"\\U{first:08x}-\\U{last:08x}" for first, last in ranges)


@cache
def pattern_without_regex() -> re.Pattern[str]:
    """`pattern` spelled with explicit ranges for the standard library's `re`, which has no \\p{L} (0.2 s, once)."""
    letters, numbers = _character_class("L"), _character_class("N")
    return re.compile(
        f"<start_of_text>|<end_of_text>|'s|'t|'re|'ve|'m|'ll|'d|[{letters}]+|[{numbers}]|[^\\s{letters}{numbers}]+",
        re.IGNORECASE,
    )


@cache
def pattern() -> re.Pattern[str]:
    """CLIP's split into words, single digits and runs of other signs; the special tokens are open_clip's."""
    try:
        import regex
    except ImportError:
        return pattern_without_regex()
    return regex.compile(
        r"<start_of_text>|<end_of_text>|'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+", regex.IGNORECASE
    )
