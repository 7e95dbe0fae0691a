"""What `raters` found, as a table and as curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.rater_tastes import TASTES

TASTE_WITH_BOTH = list(TASTES).index("prompt fit")
START, PLAIN, OTHER = "start", "plain", "tiny-holdout"


def table(outcome: Mapping[str, Any], sizes: Sequence[int]) -> str:
    """As Markdown."""
    names = [START, PLAIN, OTHER, *map(str, sizes)]
    heads = ["start model", "plain CLIP", OTHER, *(f"{size:,} choices" for size in sizes)]
    lines = [f"| pictures, taste | {' | '.join(heads)} |", "|---" * (len(names) + 1) + "|"]
    for job, found in outcome.items():
        if job != "digest":
            cells = [_cell(found.get(name)) for name in names]
            lines.append(f"| {job} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(share: Sequence[float] | None) -> str:
    return "{:.0f} % ({:.0f}-{:.0f})".format(*(100 * value for value in share)) if share else "not measured"


def plot(outcome: Mapping[str, Any], file: Path, sizes: Sequence[int]) -> None:
    """A curve for each taste, with intervals."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    sources = list(dict.fromkeys(job.split(", ")[0] for job in outcome if job != "digest"))
    figure, axes = pyplot.subplots(
        len(sources), len(TASTES), figsize=(13, 2.7 * len(sources)), sharey=True, squeeze=False
    )
    for row, source in zip(axes, sources, strict=True):
        for axis, taste in zip(row, TASTES, strict=True):
            found = outcome.get(f"{source}, {taste}")
            if not found:
                axis.set_visible(False)
                continue
            _curve(axis, found, sizes, label="trained")
            if more := outcome.get(f"{source}, {taste}, {PLAIN}"):
                _curve(axis, more, sizes, label="from plain CLIP")
            axis.axhspan(
                found[START][1] * 100, found[START][2] * 100, color="tab:orange", alpha=0.4, label="start model"
            )
            axis.axhline(90, color="grey", linestyle="--", linewidth=1, label="goal")
            axis.set(xscale="log", ylim=(0, 104), title=f"{source}: {taste}", xticks=sizes, xticklabels=sizes)
            axis.minorticks_off()
        row[0].set_ylabel("% of the noise ceiling")
    axes[0][TASTE_WITH_BOTH].legend(fontsize=8, loc="lower right")
    figure.tight_layout()
    figure.savefig(file, dpi=90)


def _curve(axis: Any, found: Mapping[str, Any], sizes: Sequence[int], *, label: str) -> None:
    shown = [size for size in sizes if str(size) in found]
    values = np.array([found[str(size)] for size in shown]) * 100
    errors = [values[:, 0] - values[:, 1], values[:, 2] - values[:, 0]]
    axis.errorbar(shown, values[:, 0], yerr=errors, marker="o", capsize=3, label=label)
