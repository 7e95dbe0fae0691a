"""The figures of a data set in words, and as one HTML file with small charts; it needs no network."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from lib_hps.files import atomic_write
from lib_hps.preferences.statistics import Statistics

_WIDTH, _HEIGHT, _FOOT = 420.0, 150.0, 22.0
_KINDS = {"order": "full order", "pick": "one pick", "partial": "partial order", "none": "no preference"}
_STYLE = """
:root{color-scheme:light dark;--ink:#1d2129;--soft:#626b7a;--mark:#3457d5;--back:#fafbfc;--line:#d9dde4}
@media(prefers-color-scheme:dark){:root{--ink:#e9ecf1;--soft:#9aa3b2;--mark:#8aa4ff;--back:#14161b;--line:#333842}}
body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--back);
max-width:960px;margin:2rem auto;padding:0 1rem}
h1{font-size:1.4rem}h2{font-size:1rem;margin:0 0 .5rem}table{border-collapse:collapse}
td{padding:.2rem 1.2rem .2rem 0;border-bottom:1px solid var(--line)}
td:last-child{text-align:right;font-variant-numeric:tabular-nums}
.charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,420px),1fr));gap:2rem;margin-top:2rem}
svg{width:100%;height:auto}rect{fill:var(--mark)}text{fill:var(--soft);font-size:11px;text-anchor:middle}
"""


def figures(found: Statistics) -> list[tuple[str, str]]:
    """(what, figure) lines."""
    share = lambda part, whole: f"{part:,} ({part / whole:.1%})" if whole else f"{part:,}"  # noqa: E731
    lines = [
        ("choices", f"{found.records:,}"),
        ("rows that are broken", f"{found.broken:,}"),
        ("prompts", f"{found.prompts:,}"),
        ("pictures shown", f"{found.pictures:,}"),
        ("raters that are known", f"{found.raters:,}"),
        *((f"answers: {_KINDS[kind]}", share(n, found.records)) for kind, n in found.kinds.most_common()),
        ("pairs of pictures", f"{found.pairs:,}"),
        ("of them with an order", share(found.ordered, found.pairs)),
        ("of them tied", share(found.tied, found.pairs)),
    ]
    if found.agreement is not None:
        lines.append(("raters agree", f"{found.agreement:.1%} on {found.judged_twice:,} pairs"))
    else:
        lines.append(("raters agree", "unknown: no pair has answers of two raters"))
    for size, count, chi, p in found.position_bias():
        lines.append((f"position bias, {size} pictures", f"chi-square {chi:g} over {count:,} choices, p = {p:.2g}"))
    if found.gaps:
        lines.append(("largest gap of scores", f"{found.largest_gap:.3g}"))
    if found.flips is not None:
        lines.append(("one rater contradicts the mean order", f"{found.flips:.1%} of pairs"))
    return lines


def write_page(path: Path, found: Statistics, *, title: str) -> Path:
    """Write the HTML file.

    Raises:
        StorageError: it cannot be written.
    """
    rows = "".join(f"<tr><td>{escape(what)}</td><td>{escape(figure)}</td></tr>" for what, figure in figures(found))
    charts = [_chart("Pictures in a choice", [(str(n), c) for n, c in sorted(found.sizes.items())])]
    for size in sorted({size for size, _ in found.best_at if size > 1}):
        won = [(str(place + 1), found.best_at[size, place]) for place in range(size)]
        charts.append(_chart(f"Position of the best, {size} pictures", won))
    lengths = sorted(found.prompt_lengths.items())
    charts.append(_chart("Characters of the prompt", [(f"{n}", c) for n, c in lengths[:20]]))
    if found.gaps:
        step = found.largest_gap / len(found.gaps)
        charts.append(_chart("Gap of scores", [(f"{step * n:.2g}", c) for n, c in enumerate(found.gaps)]))
    with atomic_write(path, "w") as stream:
        stream.write(
            f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
            f"<title>{escape(title)}</title><style>{_STYLE}</style><h1>{escape(title)}</h1><table>{rows}</table>"
            f'<div class="charts">{"".join(charts)}</div></html>'
        )
    return path


def _chart(title: str, bars: Sequence[tuple[str, int]]) -> str:
    """Bars as inline SVG, each with its count as a tooltip."""
    most = max((count for _, count in bars), default=0) or 1
    step = _WIDTH / max(len(bars), 1)
    parts = []
    for place, (label, count) in enumerate(bars):
        height = (_HEIGHT - 2 * _FOOT) * count / most
        x, y = step * place, _HEIGHT - _FOOT - height
        parts.append(
            f'<rect x="{x + step * 0.1:.1f}" y="{y:.1f}" width="{step * 0.8:.1f}" height="{height:.1f}">'
            f"<title>{escape(label)}: {count:,}</title></rect>"
            f'<text x="{x + step / 2:.1f}" y="{_HEIGHT - 6:.1f}">{escape(label)}</text>'
            f'<text x="{x + step / 2:.1f}" y="{y - 4:.1f}">{count:,}</text>'
        )
    name = escape(title)
    body = "".join(parts)
    box = f'viewBox="0 0 {_WIDTH:.0f} {_HEIGHT:.0f}" role="img" aria-label="{name}"'
    return f"<section><h2>{name}</h2><svg {box}>{body}</svg></section>"
