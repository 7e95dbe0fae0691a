"""The comparison as one HTML file that needs no network: figures first, then every prompt and seed side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from lib_hps.files import atomic_write
from lib_hps.sheet import embedded
from lib_hps.training.comparing.figures import Gain, Votes
from lib_hps.training.comparing.run import Cell

_STYLE = """
:root { color-scheme: light dark; --ground: #f6f5f2; --card: #fff; --ink: #22242a; --soft: #686c76; --line: #e3e1db; --mark: #0f766e; --other: #b45309; }
@media (prefers-color-scheme: dark) { :root { --ground: #16181c; --card: #1f2228; --ink: #e8e9ec; --soft: #9aa0ab; --line: #30343c; --mark: #2dd4bf; --other: #fbbf24; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1300px; padding: 18px 20px 40px; background: var(--ground); color: var(--ink); font: 15px/1.45 system-ui, sans-serif; }
h1 { font-size: 20px; margin: 0 0 4px; } h2 { font-size: 15px; margin: 24px 0 8px; overflow-wrap: anywhere; }
p { margin: 0 0 12px; color: var(--soft); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; margin: 10px 0; font-variant-numeric: tabular-nums; }
th, td { padding: 4px 14px 4px 0; text-align: left; border-bottom: 1px solid var(--line); white-space: nowrap; }
td.sure { font-weight: 600; color: var(--mark); }
.row { display: grid; grid-template-columns: repeat(var(--columns), minmax(0, 1fr)); gap: 10px; max-width: calc(var(--columns) * 270px); margin-bottom: 10px; }
figure { margin: 0; background: var(--card); border: 1px solid var(--line); border-radius: 10px; overflow: hidden; }
figure.best { outline: 2px solid var(--mark); outline-offset: -1px; }
img { display: block; width: 100%; aspect-ratio: 1; object-fit: contain; }
figcaption { padding: 6px 9px; font-size: 12.5px; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
figcaption b { display: block; } figcaption i { font-style: normal; color: var(--mark); } figcaption em { font-style: normal; color: var(--other); }
"""  # noqa: E501 - rules of CSS read best one a line


def write_page(
    path: Path,
    cells: Sequence[Cell],
    found: Sequence[Gain],
    told: Sequence[Votes],
    *,
    names: Mapping[str, str],
    about: str,
) -> None:
    """Write it.

    Args:
        path: the file.
        cells: prompts and seeds.
        found: gains over the base.
        told: votes; none leaves the table out.
        names: the judges' scorers, by judge.
        about: one line on how the pictures were drawn.

    Raises:
        StorageError: it cannot be written.
    """
    arms = list(cells[0].files)
    first = next(iter(names), None)
    with atomic_write(path, "w") as stream:
        stream.write(
            '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
            f'<title>{escape(" / ".join(arms))}</title><style>{_STYLE}</style><body style="--columns:{len(arms)}">'
            f"<h1>{escape(' / '.join(arms))}</h1><p>{escape(about)}</p>"
        )
        stream.write(_gains(found, names) + _votes(told))
        prompt = None
        for cell in cells:
            if cell.prompt != prompt:
                prompt = cell.prompt
                stream.write(f"<h2>{escape(prompt)}</h2>\n")
            scores = cell.scores.get(first or "", {})
            best = max(scores, key=lambda arm: scores[arm]) if scores else None
            figures = "".join(_figure(cell, arm, is_best=arm == best) for arm in arms)
            stream.write(f'<div class="row">{figures}</div>\n')
        stream.write("</body></html>\n")


def _figure(cell: Cell, arm: str, *, is_best: bool) -> str:
    marks = [
        f"<{tag}>{escape(judge)} {cell.scores[judge][arm]:.4f}</{tag}>"
        for judge, tag in zip(cell.scores, ("i", "em"), strict=False)
    ]
    kind = ' class="best"' if is_best else ""
    return (
        f'<figure{kind}><img loading="lazy" src="{embedded(cell.files[arm])}" alt="{escape(arm)}, seed {cell.seed}">'
        f"<figcaption><b>{escape(arm)}</b>{'<br>'.join(marks)}</figcaption></figure>"
    )


def _gains(found: Sequence[Gain], names: Mapping[str, str]) -> str:
    rows = "".join(
        f"<tr><td>{escape(gain.arm)}</td><td>{escape(gain.judge)}: {escape(names[gain.judge])}</td>"
        f"<td{_sure(gain)}>{gain.mean:+.4f}</td><td>{gain.interval}</td>"
        f"<td>{gain.wins:.0%}</td></tr>"
        for gain in found
    )
    head = "<tr><th></th><th>judge</th><th>gain over base</th><th>95 % interval</th><th>above base</th></tr>"
    return f'<div class="wide"><table>{head}{rows}</table></div>' if rows else ""


def _sure(gain: Gain) -> str:
    is_sure = gain.low is not None and gain.high is not None and (gain.low > 0 or gain.high < 0)
    return ' class="sure"' if is_sure else ""


def _votes(told: Sequence[Votes]) -> str:
    rows = "".join(
        f"<tr><td>{escape(one.first)} against {escape(one.second)}</td><td>{one.won}</td><td>{one.lost}</td>"
        f"<td>{one.ties}</td></tr>"
        for one in told
    )
    head = "<tr><th>blind votes</th><th>better</th><th>worse</th><th>not told apart</th></tr>"
    return f'<div class="wide"><table>{head}{rows}</table></div>' if rows else ""
