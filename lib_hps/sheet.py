"""A contact sheet of scored pictures: one HTML file, sorted best first within each prompt, that needs no network."""

from __future__ import annotations

import base64
import io
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

from lib_hps.errors import InputError
from lib_hps.files import atomic_write

Row = Mapping[str, Any]
_THUMB_PX = 256
_MOST_EMBEDDED = 400


def write_sheet(
    path: str | os.PathLike[str],
    rows: Sequence[Row],
    *,
    title: str = "Scored pictures",
    are_embedded: bool | None = None,
    other: str | None = None,
) -> Path:
    """Write the sheet; memory use does not grow with the pictures.

    Args:
        path: the HTML file.
        rows: each with "file" (path), "prompt", "score", and optionally "rank", "scorer" and a second score.
        title: heading.
        are_embedded: True puts thumbnails into the file, False links to the pictures; None embeds up to 400.
        other: key of a second score that is shown beside the first (the held-out judge).

    Raises:
        InputError: a row without file or score.
        StorageError: the file cannot be written.
    """
    for row in rows:
        if "file" not in row or not isinstance(row.get("score"), (int, float)):
            raise InputError(f"A row of a sheet needs a file and a score, this one has {dict(row)!r}.")
    target = Path(path)
    is_embedding = len(rows) <= _MOST_EMBEDDED if are_embedded is None else are_embedded
    groups = _by_prompt(rows)
    head, tail = _template().split("{{sections}}")
    fill = {
        "title": escape(title),
        "summary": f"{len(rows)} pictures, {len(groups)} prompts, best first",
        "keys": _keys(rows, other),
    }
    with atomic_write(target, "w") as stream:
        stream.write(re.sub(r"{{(\w+)}}", lambda match: fill[match[1]], head))
        for prompt, members in groups.items():
            stream.writelines(_section(prompt, members, target.parent, other, is_embedding=is_embedding))
        stream.write(tail)
    return target


def _template() -> str:
    return Path(__file__).with_suffix(".html").read_text("utf-8")


def _by_prompt(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Prompts in the order of their first row, rows best first."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(str(row.get("prompt") or ""), []).append(row)
    return {prompt: sorted(members, key=lambda row: -row["score"]) for prompt, members in groups.items()}


def _keys(rows: Sequence[Row], other: str | None) -> str:
    scorers = sorted({str(row["scorer"]) for row in rows if row.get("scorer")})
    marks = [f'<p class="key"><i></i>{escape(", ".join(scorers) or "score")}</p>']
    if other:
        marks.append(f'<p class="key other"><i></i>{escape(other)} (held out: not used for the order)</p>')
    return "".join(marks)


def _section(prompt: str, rows: list[Row], folder: Path, other: str | None, *, is_embedding: bool) -> Iterator[str]:
    name = escape(prompt) if prompt else "<i>no prompt</i>"
    yield f'<section data-prompt="{escape(prompt)}"><h2>{name}<span>{len(rows)} pictures</span></h2>'
    yield '<div class="grid">\n'
    spans = {key: _span(rows, key) for key in ("score", other) if key}
    for place, row in enumerate(rows, 1):
        file = Path(str(row["file"]))
        source = embedded(file) if is_embedding else _link(file, folder)
        picture = (
            f'<img loading="lazy" src="{escape(source)}" alt="">'
            if source
            else '<div class="none">picture not readable</div>'
        )
        second = row.get(other) if other else None
        beside = f"<em>{second:.4f}</em>" if isinstance(second, (int, float)) else ""
        bars = _bar(row["score"], spans["score"], "bar")
        bars += _bar(second, spans[other], "bar other") if other and isinstance(second, (int, float)) else ""
        yield (
            f'<figure>{picture}<span class="rank">{escape(str(row.get("rank", place)))}</span><figcaption>'
            f'<div class="score">{row["score"]:.4f}{beside}</div>{bars}'
            f'<div class="file" title="{escape(str(file))}">{escape(file.name)}</div></figcaption></figure>\n'
        )
    yield "</div></section>\n"


def _span(rows: list[Row], key: str) -> tuple[float, float]:
    values = [row[key] for row in rows if isinstance(row.get(key), (int, float))]
    return (min(values), max(values)) if values else (0.0, 0.0)


def _bar(value: float, span: tuple[float, float], kind: str) -> str:
    """A bar from the prompt's worst (a stump) to its best (full)."""
    lowest, highest = span
    share = (value - lowest) / (highest - lowest) if highest > lowest else 1.0
    return f'<div class="{kind}"><i style="width:{8 + 92 * share:.0f}%"></i></div>'


def _link(file: Path, folder: Path) -> str:
    try:
        relative = os.path.relpath(file, folder)
    except ValueError:  # another drive
        return file.resolve().as_uri()
    return quote(Path(relative).as_posix())


def embedded(file: Path) -> str:
    """A data URI of a thumbnail, "" for what is no picture; tiny pictures are enlarged smoothly, not by the browser."""
    from PIL import Image, ImageOps

    try:
        with Image.open(file) as image:
            image.draft("RGB", (_THUMB_PX * 2, _THUMB_PX * 2))
            small = (ImageOps.exif_transpose(image) or image).convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return ""
    factor = _THUMB_PX / max(small.size)
    size = max(1, round(small.width * factor)), max(1, round(small.height * factor))
    stream = io.BytesIO()
    small.resize(size, Image.Resampling.LANCZOS).save(stream, "WEBP", quality=82)
    return "data:image/webp;base64," + base64.b64encode(stream.getvalue()).decode()
