"""report.html of a trained classifier: accuracy beside others', calibration, learning curve, worst mistakes."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import pairwise
from pathlib import Path

import numpy as np

from lib_hps.errors import HpsError
from lib_hps.files import atomic_write
from lib_hps.sheet import embedded
from lib_hps.training.choice_task import TrainingChoice
from lib_hps.training.evaluation import Measured, cell, chance, measure, score_choices
from lib_hps.training.scorer_config import ScorerConfig
from lib_hps.training.scorer_training import Trained

_WIDTH, _HEIGHT, _EDGE = 420.0, 260.0, 40.0
_BINS = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
_MOST_MISTAKES = 24
PAPER_SCALE = 100.0  # scores that are cosines become nats by it, as the papers print 100 * cosine


@dataclass
class Outcome:
    """What the report shows.

    Attributes:
        rows: accuracies on the test choices; empty without any.
        scores: of the trained classifier on the test choices, in nats.
    """

    rows: list[Measured] = field(default_factory=list)
    scores: list[np.ndarray] = field(default_factory=list)


def measure_all(trained: Trained, config: ScorerConfig) -> Outcome | None:
    """Measure the classifier, its start model, another tiny CLIP or CLIP, aesthetic where it is, and chance.

    Returns:
        None in every process but the first.
    """
    import os

    from lib_hps.scoring import list_scorers, load_scorer

    outcome = Outcome()
    if trained.test:
        there = {info.name for info in list_scorers() if info.is_available}
        others = [name for name in ("tiny-holdout", "aesthetic", "clip:ViT-L-14/openai") if name in there]
        outcome.rows.append(chance(trained.test))
        for name in dict.fromkeys([str(trained.path), config.base, *others]):
            try:
                scorer = load_scorer(name, config.weights if name == config.base else None, device=config.device)
                scores = score_choices(scorer, trained.test)
            except HpsError as error:
                if name == str(trained.path):
                    raise
                trained.notes.append(f"{name} was not measured: {error}")
                continue
            if name == str(trained.path):
                outcome.scores = [part * (1 if scorer.scale == "logit" else PAPER_SCALE) for part in scores]
            called = {str(trained.path): f"{trained.path.stem} (trained)", config.base: f"{config.base} (start)"}
            outcome.rows.append(measure(called.get(name, name), scores, trained.test))
            scorer.unload(drop=True)
    return outcome if int(os.environ.get("RANK", "0")) == 0 else None


def write_report(path: Path, trained: Trained, outcome: Outcome, config: ScorerConfig) -> Path:
    """Write the report.

    Raises:
        StorageError: it cannot be written.
    """
    fill = {
        "title": escape(f"{trained.path.stem}: a classifier trained on {len(trained.train)} choices"),
        "summary": "".join(f"<p>{escape(line)}</p>" for line in _summary(trained, config)),
        "table": _table(outcome.rows),
        "calibration": _calibration(outcome.scores, trained.test),
        "curve": _curve(trained),
        "mistakes": "".join(_mistakes(outcome.scores, trained.test)) or "<p>None.</p>",
        "problems": "".join(f"<li>{escape(problem)}</li>" for problem in trained.problems[:200]) or "<li>Nothing.</li>",
    }
    template = Path(__file__).with_name("report.html").read_text("utf-8")
    with atomic_write(path, "w") as stream:
        stream.write(re.sub(r"{{(\w+)}}", lambda match: fill[match[1]], template))
    return path


def _summary(trained: Trained, config: ScorerConfig) -> list[str]:
    prompts = len({choice.prompt for choice in trained.test})
    return [
        f"Start model {config.base}, method {trained.method}, loss {config.loss}, seed {config.seed}.",
        f"{len(trained.train)} choices for training, {len(trained.validation)} to decide when to stop, "
        f"{len(trained.test)} of {prompts} prompts for this report; no prompt is on two sides.",
        f"Left out: {trained.undecided} answers without a preference, {len(trained.problems)} problems.",
        *trained.notes,
        "Intervals are 95 %, by bootstrap over prompts. Agreement with these raters says nothing about other people.",
    ]


def _table(rows: Sequence[Measured]) -> str:
    if not rows:
        return "<p>No prompt was kept for a test, so nothing is claimed.</p>"
    lines = ["<table><tr><th>scorer</th><th>top-1</th><th>pairs</th></tr>"]
    for row in sorted(rows, key=lambda each: -each.top_1):
        top, pairs = cell(row.top_1, row.top_1_interval), cell(row.pairwise, row.pairwise_interval)
        lines.append(f"<tr><td>{escape(row.scorer)}</td><td>{top}</td><td>{pairs}</td></tr>")
    return "".join(lines) + "</table>"


def _calibration(scores: Sequence[np.ndarray], choices: Sequence[TrainingChoice]) -> str:
    """Said probability of the likelier of two against how often it was preferred."""
    gaps = [
        float(part[better] - part[worse])
        for part, choice in zip(scores, choices, strict=bool(scores))
        for better, worse in choice.ranking.edges
    ]
    if not gaps:
        return "<p>No test choices.</p>"
    said = 1 / (1 + np.exp(-np.abs(np.clip(gaps, -60, 60))))
    right = np.array(gaps) > 0
    points, parts = [], []
    for low, high in pairwise(_BINS):
        inside = (said >= low) & ((said < high) | (high == 1.0))
        if inside.any():
            points.append((float(said[inside].mean()), float(right[inside].mean())))
            parts.append(f"{100 * said[inside].mean():.0f} % said, {100 * right[inside].mean():.0f} % right "
                         f"({int(inside.sum())} pairs)")  # fmt: skip
    diagonal = [(0.5, 0.5), (1.0, 1.0)]
    return _plot(points, (0.5, 1.0), (0.0, 1.0), "said", diagonal) + f"<p>{'; '.join(parts)}.</p>"


def _curve(trained: Trained) -> str:
    if not trained.curve:
        return "<p>Too few choices, or none held out.</p>"
    highest = max(x for x, _ in trained.curve)
    words = "; ".join(f"{x:.0f} {trained.curve_over}: {100 * y:.1f} %" for x, y in trained.curve)
    return _plot(trained.curve, (0.0, highest), (0.0, 1.0), trained.curve_over, []) + f"<p>{words}.</p>"


def _plot(
    points: Sequence[tuple[float, float]],
    x_range: tuple[float, float],
    y_range: tuple[float, float],
    label: str,
    line: Sequence[tuple[float, float]],
) -> str:
    def place(x: float, y: float) -> str:
        right = _EDGE + (_WIDTH - 1.5 * _EDGE) * (x - x_range[0]) / max(x_range[1] - x_range[0], 1e-9)
        up = (_HEIGHT - 1.5 * _EDGE) * (y - y_range[0]) / (y_range[1] - y_range[0])
        return f"{right:.1f},{_HEIGHT - _EDGE - up:.1f}"

    parts = [f'<svg viewBox="0 0 {_WIDTH:.0f} {_HEIGHT:.0f}" role="img" aria-label="{escape(label)}">']
    for level in (0.0, 0.25, 0.5, 0.75, 1.0):
        start, end = place(x_range[0], level).split(","), place(x_range[1], level).split(",")
        parts.append(f'<line class="grid" x1="{start[0]}" x2="{end[0]}" y1="{start[1]}" y2="{end[1]}"/>')
        parts.append(f'<text x="4" y="{float(start[1]) + 4:.1f}">{100 * level:.0f} %</text>')
    parts.append(
        f'<text x="{_WIDTH / 2:.0f}" y="{_HEIGHT - 10:.0f}">{escape(label)}, {x_range[0]:g} to {x_range[1]:g}</text>'
    )
    if line:
        parts.append(f'<polyline class="other" points="{" ".join(place(*p) for p in line)}"/>')
    parts.append(f'<polyline class="mark" points="{" ".join(place(*p) for p in points)}"/>')
    for point in points:
        x, y = place(*point).split(",")
        parts.append(f'<circle class="mark" cx="{x}" cy="{y}" r="3.5"/>')
    return "".join(parts) + "</svg>"


def _mistakes(scores: Sequence[np.ndarray], choices: Sequence[TrainingChoice]) -> list[str]:
    """The choices in which the classifier was surest of another picture than the preferred one."""
    found: dict[tuple[str, Path, Path], tuple[float, TrainingChoice, int, int]] = {}  # the same two pictures once
    for part, choice in zip(scores, choices, strict=bool(scores)):
        guess, best = int(np.argmax(part)), choice.ranking.best()
        preferred = max(best, key=lambda index: float(part[index]))
        if guess not in best:
            gap = float(part[guess] - part[preferred])
            found.setdefault(
                (choice.prompt, choice.images[preferred], choice.images[guess]), (gap, choice, guess, preferred)
            )
    surest = sorted(found.values(), key=lambda each: -each[0])
    return [
        f'<figure><div class="two">{_labelled(choice.images[preferred], "preferred")}'
        f"{_labelled(choice.images[guess], 'taken')}</div>"
        f"<figcaption>{escape(choice.prompt) or '(no prompt)'}"
        f"<em>{100 / (1 + math.exp(-min(gap, 60.0))):.0f} % sure</em></figcaption></figure>"
        for gap, choice, guess, preferred in surest[:_MOST_MISTAKES]
    ]


def _labelled(image: Path, words: str) -> str:
    return f'<div><img src="{embedded(image)}" alt="{words}"><small>{words}</small></div>'
