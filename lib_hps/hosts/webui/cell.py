"""A cell of the X/Y/Z plot with one of our axes: its pictures are judged, sorted and filtered, and only then saved.

The plot calls the WebUI's `process_images` for each cell, so this works by the twin's hooks: before it saving is taken
over, behind it the cell's `Processed` is replaced by that of the rerank. Pictures not kept are saved all the same.
"""

from __future__ import annotations

import math
from typing import Any

from modules import shared

from . import rank_cell
from .notes import attach, notes_of
from .options import SAVE_ALL, SCORER_KEY, Options
from .pictures import read_round
from .run import Rerank
from .scorers import ScorerHolder, default_scorer

_ATTRIBUTE = "hps_cell"
_SAVING = ("do_not_save_samples", "do_not_save_grid")


def set_option(p: Any, name: str, value: Any) -> None:
    """Choose one option of the cell that `p` will be; cells are copies of each other, their options are not shared."""
    setattr(p, _ATTRIBUTE, {**(getattr(p, _ATTRIBUTE, None) or {}), name: value})


def is_cell(p: Any) -> bool:
    """True where one of our axes was applied to `p`."""
    return bool(getattr(p, _ATTRIBUTE, None))


def _options(p: Any) -> Options:
    chosen = {"scorer": default_scorer(), "rest": SAVE_ALL, **getattr(p, _ATTRIBUTE)}
    return Options(**chosen)


def start(p: Any, holder: ScorerHolder) -> bool:
    """Before a cell is generated; True if `p` is one of ours."""
    if not is_cell(p):
        return False
    if rank_cell.is_ranked(getattr(p, _ATTRIBUTE)):
        rank_cell.start(p, getattr(p, _ATTRIBUTE), holder)
        return True
    options = _options(p)
    attach(p)
    p.hps_saving = {name: getattr(p, name) for name in _SAVING}
    for name in _SAVING:
        setattr(p, name, True)
    if options.candidates:
        batches = math.ceil(options.candidates / p.batch_size)
        shared.state.job_count += batches - p.n_iter
        p.n_iter = batches
    # a dictionary of its own: the cells of a plot share theirs
    p.extra_generation_params = {**p.extra_generation_params, SCORER_KEY: options.scorer}
    return True


def finish(p: Any, processed: Any, holder: ScorerHolder) -> None:
    """Behind a cell's generation: `processed` becomes what the rerank kept."""
    if rank_cell.is_ranked(getattr(p, _ATTRIBUTE)):
        return
    for name, value in p.hps_saving.items():
        setattr(p, name, value)
    notes = notes_of(p)
    if notes is None:
        return
    made = read_round(processed, p, notes, first_position=0)
    rerank = Rerank(p, _options(p), holder, draws_labels=True, additions=made.additions)
    rerank.judge(made.pictures)
    vars(processed).update(vars(rerank.finish(made.pictures)))
