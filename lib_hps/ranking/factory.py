"""Optimisers by name."""

from __future__ import annotations

from typing import Any

from lib_hps.errors import InputError
from lib_hps.ranking.baselines import BestOfN, RandomSearch
from lib_hps.ranking.cma import CMAES
from lib_hps.ranking.optimizer import Optimizer
from lib_hps.ranking.shell_gp import ShellGP
from lib_hps.ranking.zo_ranksgd import ZORankSGD

OPTIMIZERS: dict[str, type[Optimizer]] = {cls.name: cls for cls in (ShellGP, ZORankSGD, BestOfN, RandomSearch, CMAES)}


def make_optimizer(name: str, *, seed: int, batch: int, **params: Any) -> Optimizer:
    """Make an optimiser.

    Args:
        name: one of `OPTIMIZERS`.
        seed: of the first noise, 0 to 2^32 - 1.
        batch: candidates in a round, the incumbent included.
        params: of that optimiser alone.

    Raises:
        InputError: an unknown name or parameter, or a value out of range.
    """
    if name not in OPTIMIZERS:
        raise InputError(f"There is no optimiser {name!r}. Take one of {', '.join(OPTIMIZERS)}.")
    try:
        return OPTIMIZERS[name](seed=seed, batch=batch, **params)
    except TypeError as error:
        raise InputError(f"The optimiser {name!r} does not take these parameters: {error}.") from error
