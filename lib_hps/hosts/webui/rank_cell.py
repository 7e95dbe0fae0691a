"""A cell of the X/Y/Z plot over rounds or optimisers: a scorer ranks round after round, and the cell draws the winner.

Works in the twin's first hook: the rounds are drawn there, by copies that save nothing, and the plot's own generation
then draws the winner from its noise. No session is kept of it: the infotext alone draws the picture again.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from modules import processing, shared

from lib_hps.board.auto import Plan, run_rounds
from lib_hps.board.service import DEFAULT_BATCH
from lib_hps.errors import Cancelled, HpsError, InputError
from lib_hps.noise import NoiseRecipe
from lib_hps.ranking import OPTIMIZERS
from lib_hps.ranking.optimizer import SMALLEST_BATCH
from lib_hps.rerank import score_text
from lib_hps.session import SessionStore, State
from lib_hps.session.settings import whole

from . import features
from .generate import own_copy
from .options import SCORER_KEY, SCRIPT_TITLE
from .rank_host import PressedHost
from .rank_noise import plan_noise
from .rank_options import NOISE_KEY, ORIGIN_KEYS
from .rank_settings import settings_of
from .scorers import ScorerHolder, default_scorer

ROUNDS, OPTIMIZER = "rounds", "optimizer"
MOST_ROUNDS = 100
_USUAL_ROUNDS = 4
_SCORE_KEY = "HPS"


def check(name: str, value: Any) -> None:
    """Refuse a value of one of these axes.

    Raises:
        InputError: it cannot be.
    """
    if name == ROUNDS:
        whole("Rounds", value, 0, MOST_ROUNDS)
    elif value not in OPTIMIZERS:
        raise InputError(f"There is no optimiser {value!r}. Choose from: {', '.join(OPTIMIZERS)}.")


def is_ranked(chosen: Mapping[str, Any]) -> bool:
    """True where one of these axes is among a cell's options."""
    return ROUNDS in chosen or OPTIMIZER in chosen


def start(p: Any, chosen: Mapping[str, Any], holder: ScorerHolder) -> None:
    """Rank, and have `p` draw the winner: one picture, whatever the form's batch is."""
    try:
        _start(p, chosen, holder)
    except HpsError as error:  # the host swallows what a hook raises, and would draw another picture in its place
        p.sample = partial(_refuse, error)


def _refuse(error: HpsError, *_: Any, **__: Any) -> None:
    raise error


def _start(p: Any, chosen: Mapping[str, Any], holder: ScorerHolder) -> None:
    scorer, rounds = str(chosen.get("scorer") or default_scorer()), int(chosen.get(ROUNDS, _USUAL_ROUNDS))
    name = str(chosen.get(OPTIMIZER, next(iter(OPTIMIZERS))))
    processing.fix_seed(p)
    count = int(p.n_iter) * int(p.batch_size)
    batch = count if count >= SMALLEST_BATCH else DEFAULT_BATCH
    state = _rank(p, holder, Plan(rounds, scorer), name, batch) if rounds else None
    recipe = state.best if state and state.best else NoiseRecipe.single(int(p.seed)).format()
    p.n_iter = p.batch_size = 1
    said = {"Script": SCRIPT_TITLE, NOISE_KEY: recipe, ORIGIN_KEYS[1]: str(rounds), ORIGIN_KEYS[2]: name}
    if state and state.answers and state.answers[-1].score is not None:
        said |= {_SCORE_KEY: score_text(state.answers[-1].score), SCORER_KEY: scorer}
    # a dictionary of its own: the cells of a plot share theirs
    p.extra_generation_params = {**p.extra_generation_params, **said}
    plan_noise(p, [NoiseRecipe.parse(recipe)])


def _rank(p: Any, holder: ScorerHolder, plan: Plan, optimizer: str, batch: int) -> State:
    own = own_copy(p)
    own.hps_cell = None  # what it draws is no cell
    own.do_not_save_samples = own.do_not_save_grid = True
    own.n_iter = 1
    host = PressedHost(holder, own)
    shared.state.job_count += plan.rounds * host.jobs(batch)
    with tempfile.TemporaryDirectory(prefix="hps-cell-") as folder:
        made = {"name": optimizer, "seed": int(p.seed), "batch": batch, "params": {}}
        session = SessionStore(Path(folder)).create(name="plot", settings=settings_of(p), optimizer=made)
        try:
            run_rounds(session, host, plan, report=_report, cancelled=features.should_stop)
        except Cancelled:
            pass  # the plot ends by itself behind this cell
        finally:
            shared.state.textinfo = None
        return session.state()


def _report(text: str, _done: float, _preview: str | None = None) -> None:
    shared.state.textinfo = text[:1].upper() + text[1:]
