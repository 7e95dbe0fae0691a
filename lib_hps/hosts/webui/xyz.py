"""Axes of the X/Y/Z plot: which scorer looks at a cell. The score stands in the cell's infotext, and on the cell."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from . import scorers

SCORER_ATTRIBUTE = "hps_axis_scorer"
LABEL = "[HPS] Scorer"


def add_axes(scripts_data: Iterable[Any]) -> None:
    """Add the axis to the plot's script, once; called by the WebUI's on_before_ui."""
    for data in scripts_data:
        module = data.module
        if not hasattr(module, "AxisOption") or any(option.label == LABEL for option in module.axis_options):
            continue

        def apply(p: Any, value: str, _values: list[str]) -> None:
            setattr(p, SCORER_ATTRIBUTE, value)

        module.axis_options.append(module.AxisOption(LABEL, str, apply, choices=scorers.choices))
        return
