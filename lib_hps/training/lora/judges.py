"""Who scores the samples: the scorer that the taste comes from, and one that it was not optimised with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lib_hps.errors import InputError

if TYPE_CHECKING:
    from lib_hps.scoring import Scorer

SCORER, HELD_OUT = "scorer", "held-out"
_PREFERRED = ("hps-v2.1", "pickscore", "hps-v2.0", "hps-v1", "imagereward")


def find_judges(scorer: str | None, holdout: str | None, base: Path, device: str) -> dict[str, Scorer]:
    """The two judges, as named; where not named, the bundled ones for the bundled model, else what is there.

    Nothing is downloaded that was not asked for by name.

    Raises:
        InputError: the same scorer twice, or an unknown one.
    """
    from lib_hps.diffusion import bundled
    from lib_hps.scoring import list_scorers, load_scorer

    tiny = bundled.tiny_checkpoint()
    if tiny is not None and base.resolve() == tiny.resolve():
        found = [bundled.SCORER, bundled.HOLDOUT]
    else:
        there = {info.name for info in list_scorers() if info.is_available}
        found = [name for name in _PREFERRED if name in there]
    first = scorer or next((name for name in found if name != holdout), None)
    second = holdout or next((name for name in found if name != first), None)
    if first is not None and first == second:
        raise InputError(f"{first} cannot be the scorer and its own held-out judge. Give another one with --holdout.")
    names = {SCORER: first, HELD_OUT: second}
    return {judge: load_scorer(name, device=device) for judge, name in names.items() if name is not None}
