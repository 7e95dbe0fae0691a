"""Axes of the X/Y/Z plot: who judges a cell, how many it makes and keeps, how long and by what it is optimised."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from lib_hps.errors import HpsError
from lib_hps.ranking import OPTIMIZERS

from . import cell, rank_cell, scorers
from .options import Options

PREFIX = "[HPS] "


def _apply(name: str) -> Callable[[Any, Any, list[Any]], None]:
    def apply(p: Any, value: Any, _values: list[Any]) -> None:
        cell.set_option(p, name, value)

    return apply


def _confirm(name: str) -> Callable[[Any, list[Any]], None]:
    """Refuses values before the plot begins."""

    def confirm(_p: Any, values: list[Any]) -> None:
        for value in values:
            if name in (rank_cell.ROUNDS, rank_cell.OPTIMIZER):
                rank_cell.check(name, value)
                continue
            Options(**{name: value})
            if name == "scorer" and not scorers.is_named(value):
                raise HpsError(f"There is no scorer {value!r}. Choose from: {', '.join(scorers.choices())}.")

    return confirm


def add_axes(scripts_data: Iterable[Any]) -> None:
    """Add the axes to the plot's script, once; called by the WebUI's on_before_ui."""
    for data in scripts_data:
        module = data.module
        if not hasattr(module, "AxisOption") or not hasattr(module, "axis_options"):
            continue
        if any(option.label.startswith(PREFIX) for option in module.axis_options):
            continue
        module.axis_options += [
            # loading a scorer takes longer than anything else that changes between our cells
            module.AxisOption(
                f"{PREFIX}Scorer", str, _apply("scorer"), confirm=_confirm("scorer"), cost=0.5, choices=scorers.choices
            ),
            module.AxisOption(f"{PREFIX}Keep the best", int, _apply("keep"), confirm=_confirm("keep")),
            module.AxisOption(f"{PREFIX}Candidates", int, _apply("candidates"), confirm=_confirm("candidates")),
            module.AxisOption(f"{PREFIX}Rounds", int, _apply(rank_cell.ROUNDS), confirm=_confirm(rank_cell.ROUNDS)),
            module.AxisOption(
                f"{PREFIX}Optimizer",
                str,
                _apply(rank_cell.OPTIMIZER),
                confirm=_confirm(rank_cell.OPTIMIZER),
                choices=lambda: list(OPTIMIZERS),
            ),
        ]
        return
