"""A session as one HTML file: first and best picture, gain curve, the best of each round; it needs no network."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from pathlib import Path

from lib_hps.board.trends import Point, gain_curve, warning_of
from lib_hps.files import atomic_write
from lib_hps.session import Drawn, Session, State
from lib_hps.session.pictures import read_infotext
from lib_hps.sheet import embedded

_WIDTH, _HEIGHT, _LEFT, _EDGE = 860.0, 260.0, 46.0, 18.0


def write_report(path: Path, session: Session, *, note: str = "") -> Path:
    """Write the report of a session.

    Args:
        path: the HTML file.
        session: with at least one answer.
        note: why it ended.

    Raises:
        StorageError: it cannot be written.
    """
    state = session.state()
    points = gain_curve(state)
    best = state.any_picture(state.best) if state.best else None
    fill = {
        "title": escape(str(state.settings["prompt"])),
        "summary": _summary(state, note),
        "pair": _pair(session, state, best),
        "keys": _keys(state),
        "curve": curve(points),
        "strip": "".join(_rounds(session, state, points)),
        "infotext": escape(read_infotext(session.picture(best.file))) if best else "",
    }
    template = Path(__file__).with_suffix(".html").read_text("utf-8")
    with atomic_write(path, "w") as stream:
        stream.write(re.sub(r"{{(\w+)}}", lambda match: fill[match[1]], template))
    return path


def _summary(state: State, note: str) -> str:
    settings, optimizer = state.settings, state.optimizer
    lines = [
        note or f"{len(state.answers)} rounds, {len(state.pictures)} pictures.",
        f"{settings['model']}, {settings['sampler']}, {settings['steps']} steps, CFG {settings['cfg']:g}, "
        f"{settings['width']} x {settings['height']}; optimiser {optimizer['name']}, seed {optimizer['seed']}, "
        f"{optimizer['batch']} pictures a round",
    ]
    warning = warning_of(state)
    words = "".join(f"<p>{escape(line)}</p>" for line in lines)
    return words + (f'<p class="warning">{escape(warning)}</p>' if warning else "")


def _pair(session: Session, state: State, best: Drawn | None) -> str:
    """The picture of the session's plain seed beside the best."""
    first = state.answers[0].asked.candidates[0].recipe.format() if state.answers else ""
    start = state.any_picture(first)
    return _figure(session, start, f"seed {state.optimizer['seed']}") + _figure(session, best, "the best")


def _keys(state: State) -> str:
    by = list(dict.fromkeys(answer.by for answer in state.answers if answer.score is not None))
    watched = list(dict.fromkeys(answer.holdout_by for answer in state.answers if answer.holdout_by))
    keys = f'<p class="key"><i></i>{escape(", ".join(by))}</p>' if by else ""
    if watched:
        keys += f'<p class="key other"><i></i>{escape(", ".join(watched))} (held out: nothing was chosen by it)</p>'
    return keys


def _rounds(session: Session, state: State, points: Sequence[Point]) -> list[str]:
    found, before = [], None
    for point, answer in zip(points, state.answers, strict=True):
        gain = "" if point.gain is None else f" {point.gain:+.2f}"
        second = "" if point.holdout is None else f"<em>{point.holdout:+.2f}</em>"
        found.append(_figure(session, answer.picture, f"{point.round}{gain}", second, is_new=answer.best != before))
        before = answer.best
    return found


def _figure(session: Session, drawn: Drawn | None, words: str, more: str = "", *, is_new: bool = False) -> str:
    source = embedded(session.picture(drawn.file)) if drawn else ""
    picture = f'<img loading="lazy" src="{source}" alt="">' if source else '<div class="none"></div>'
    mark = ' class="new"' if is_new else ""
    return f"<figure{mark}>{picture}<figcaption>{escape(words)}{more}</figcaption></figure>"


def curve(points: Sequence[Point]) -> str:
    """Both curves as inline SVG over the rounds."""
    values = [value for point in points for value in (point.gain, point.holdout) if value is not None]
    if not values:
        return "<p>No round was answered by a scorer.</p>"
    low, high = min(0.0, *values), max(1.0, *values)
    last = max(len(points), 2)

    def place(point: Point, value: float) -> tuple[float, float]:
        x = _LEFT + (_WIDTH - _LEFT - _EDGE) * (point.round - 1) / (last - 1)
        return x, _EDGE + (_HEIGHT - 2 * _EDGE) * (high - value) / (high - low)

    parts = [f'<svg viewBox="0 0 {_WIDTH:.0f} {_HEIGHT:.0f}" role="img" aria-label="Gain by round">']
    for level in sorted({low, 0.0, high}):
        _, y = place(points[0], level)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _EDGE}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="6" y="{y + 4:.1f}">{level:+.1f}</text>')
    for name, kind in (("gain", "mark"), ("holdout", "other")):
        line = [place(point, value) for point in points if (value := getattr(point, name)) is not None]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in line)
        parts.append(f'<polyline class="{kind}" points="{path}"/>')
        parts += [f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>' for x, y in line]
    return "".join(parts) + "</svg>"
