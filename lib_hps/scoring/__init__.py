"""What is better? Images and prompts in, scores out.

    from lib_hps.scoring import load_scorer
    scores = load_scorer("hps-v2.1").score(["a.png", "b.png"], "a cat on a red sofa")

Importing this package imports no torch: everything heavy comes in with the first scorer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .load import load_scorer
    from .prompts import clean_prompt
    from .scorer import Scored, Scorer
    from .weights import ScorerInfo, list_scorers

__all__ = ["Scored", "Scorer", "ScorerInfo", "clean_prompt", "list_scorers", "load_scorer"]

_HOMES = {
    "Scored": "scorer",
    "Scorer": "scorer",
    "ScorerInfo": "weights",
    "clean_prompt": "prompts",
    "list_scorers": "weights",
    "load_scorer": "load",
}


def __getattr__(name: str) -> Any:
    """Import a public name from its module when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
