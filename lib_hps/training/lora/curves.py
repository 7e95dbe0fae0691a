"""`curves.html` of a run: what `log.jsonl` holds, as lines, in one file without scripts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from pathlib import Path

from lib_hps.files import atomic_write
from lib_hps.training.logs import FILE

_WIDTH, _HEIGHT = 640, 160
_POINTS = 400  # of a line; longer ones are averaged
_SKIPPED = {"kind", "step", "seconds", "lr"}

Points = list[tuple[float, float]]


def write_curves(folder: Path) -> Path | None:
    """Write the page; None where nothing was logged yet."""
    lines: dict[str, Points] = {}
    file = folder / FILE
    for text in file.read_text("utf-8").splitlines() if file.is_file() else []:
        try:
            row = json.loads(text)
        except ValueError:
            continue  # the line that is being written
        for name, value in row.items():
            if name not in _SKIPPED and isinstance(value, (int, float)) and value == value:
                title = name if row["kind"] == "step" else f"{name} (samples)"
                lines.setdefault(title, []).append((row["step"], value))
    if not lines:
        return None
    body = "".join(_plot(title, _smooth(points)) for title, points in lines.items())
    page = (
        f'<!doctype html><meta charset="utf-8"><title>{escape(folder.name)}</title>'
        "<style>body{font:14px system-ui;margin:2em;background:#fff;color:#222}figure{margin:0 0 1.5em}"
        "polyline{fill:none;stroke:#2a6fbb;stroke-width:1.5}line{stroke:#ccc}text{font-size:11px;fill:#666}</style>"
        f"<h1>{escape(folder.name)}</h1>{body}"
    )
    target = folder / "curves.html"
    with atomic_write(target, "w") as stream:
        stream.write(page)
    return target


def _smooth(points: Points) -> Points:
    size = -(-len(points) // _POINTS)
    parts = [points[first : first + size] for first in range(0, len(points), size)]
    return [(part[-1][0], sum(value for _, value in part) / len(part)) for part in parts]


def _plot(title: str, points: Sequence[tuple[float, float]]) -> str:
    steps, values = zip(*points, strict=True)
    low, high = min(values), max(values)
    span, last = (high - low) or 1.0, max(steps) or 1
    at = " ".join(f"{_WIDTH * x / last:.1f},{_HEIGHT * (1 - (y - low) / span):.1f}" for x, y in points)
    zero = ""
    if low < 0 < high:
        height = _HEIGHT * high / span
        zero = f'<line x1="0" x2="{_WIDTH}" y1="{height:.1f}" y2="{height:.1f}"/>'
    return (
        f"<figure><figcaption>{escape(title)}: {values[-1]:.5g} at step {steps[-1]}</figcaption>"
        f'<svg width="{_WIDTH + 80}" height="{_HEIGHT + 8}" viewBox="0 -4 {_WIDTH + 80} {_HEIGHT + 8}">{zero}'
        f'<polyline points="{at}"/><text x="{_WIDTH + 4}" y="8">{high:.4g}</text>'
        f'<text x="{_WIDTH + 4}" y="{_HEIGHT}">{low:.4g}</text></svg></figure>\n'
    )
