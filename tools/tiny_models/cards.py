"""Fills the model cards with what was measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from .emoji import STYLES
from .rater import TEMPERATURE

_TEMPLATES = Path(__file__).with_name("cards")


def write_scorer_card(name: str, figures: dict[str, Any], folder: Path) -> None:
    """`figures`: shares "name among 20, before" and "choice of 8, before", correlations "rater, before" and "other,
    before" as (mean, half the interval), and the same for "after"."""
    said: dict[str, Any] = {"temperature": TEMPERATURE}
    for moment in ("before", "after"):
        said[f"name {moment}"] = f"{figures[f'name among 20, {moment}']:.1%}"
        said[f"choice {moment}"] = f"{figures[f'choice of 8, {moment}']:.1%}"
        for other in ("rater", "other"):
            mean, half = figures[f"{other}, {moment}"]
            said[f"{other} {moment}"] = f"{mean:.2f} ± {half:.2f}"
    (folder / "README.md").write_text((_TEMPLATES / f"{name}.md").read_text().format_map(said))


def write_tiny_sd_card(
    figures: dict[str, dict[str, float]], parts: dict[str, nn.Module], facts: dict[str, Any], folder: Path
) -> None:
    """`parts`: unet, vae, text; `facts`: vocabulary, count, cfg, steps."""
    columns = list(figures.values())  # generated, real, real of an unknown artist
    rows = [f"| {s} | " + " | ".join(f"{column[s]:.1%}" for column in columns) + " |" for s in STYLES]
    means = [sum(column.values()) / len(column) for column in columns]
    rows.append("| all | " + " | ".join(f"{m:.1%}" for m in means) + " |")
    sizes = {name: sum(p.numel() for p in module.parameters()) / 1e6 for name, module in parts.items()}
    text = (_TEMPLATES / "tiny-sd.md").read_text().format_map({**sizes, **facts, "rows": "\n".join(rows)})
    (folder / "README.md").write_text(text)
