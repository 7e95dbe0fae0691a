"""The comparison as one PNG: a column for each arm, a row for each prompt, scores below the pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lib_hps.files import atomic_write
from lib_hps.training.comparing.run import Cell

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw

_SIDE, _GAP, _LINE = 192, 12, 17
_INK, _SOFT, _MARK, _OTHER = "#22242a", "#686c76", "#0f766e", "#b45309"
_MOST_ROWS = 16


def write_poster(path: Path, cells: Sequence[Cell]) -> None:
    """Write it: the first seed of up to 16 prompts.

    Raises:
        InputError: a picture cannot be read.
        StorageError: the file cannot be written.
    """
    from PIL import Image, ImageDraw

    from lib_hps.scoring.images import open_image

    arms = list(cells[0].files)
    rows = list({cell.prompt: cell for cell in reversed(cells)}.values())[::-1][:_MOST_ROWS]
    judges = list(cells[0].scores)
    high = _LINE + _SIDE + _LINE * max(1, len(judges)) + _GAP
    page = Image.new("RGB", (_GAP + len(arms) * (_SIDE + _GAP), _GAP + 2 * _LINE + len(rows) * high), "white")
    draw = ImageDraw.Draw(page)
    for across, arm in enumerate(arms):
        _text(draw, (_GAP + across * (_SIDE + _GAP), _GAP), arm, _INK, size=15)
    for down, cell in enumerate(rows):
        top = _GAP + 2 * _LINE + down * high
        _text(draw, (_GAP, top), cell.prompt, _SOFT, width=page.width - 2 * _GAP)
        for across, arm in enumerate(arms):
            left = _GAP + across * (_SIDE + _GAP)
            picture = open_image(cell.files[arm])
            picture.thumbnail((_SIDE, _SIDE))
            if max(picture.size) < _SIDE:
                factor = _SIDE / max(picture.size)
                size = round(picture.width * factor), round(picture.height * factor)
                picture = picture.resize(size, Image.Resampling.LANCZOS)
            page.paste(picture, (left, top + _LINE))
            for number, judge in enumerate(judges):
                words = f"{judge} {cell.scores[judge][arm]:.4f}"
                place = left, top + _LINE + _SIDE + 2 + number * _LINE
                _text(draw, place, words, _OTHER if number else _MARK, width=_SIDE)
    with atomic_write(path) as stream:
        page.save(stream, "PNG")


def _text(
    draw: ImageDraw, place: tuple[int, int], words: str, colour: str, *, width: int = _SIDE, size: int = 12
) -> None:
    """Words that end with three dots where they do not fit."""
    font = _font(size)
    if draw.textlength(words, font=font) > width:
        while words and draw.textlength(words + "...", font=font) > width:
            words = words[:-1]
        words += "..."
    draw.text(place, words, fill=colour, font=font)


def _font(size: int) -> Any:
    from PIL import ImageFont

    try:
        return ImageFont.load_default(size)
    except TypeError:  # before Pillow 10.1 there is one size
        return ImageFont.load_default()
