"""From the arguments of the script to the mode that they ask for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from lib_hps.board.service import BoardService

from .options import Options
from .rank_options import RECIPE, RERANK, RankOptions
from .rank_press import Press, draw_recipes
from .run import Rerank
from .scorers import ScorerHolder


def run(p: Any, args: Sequence[Any], holder: ScorerHolder, board: BoardService) -> Any:
    """One press of Generate; None where the host is to generate as if there was no script.

    Raises:
        HpsError: what is asked cannot be done.
    """
    own = len(fields(Options))
    rank = RankOptions.from_args(args[own:])
    if rank.mode == RERANK:
        return Rerank(p, Options.from_args(args[:own]), holder)()
    if getattr(p, "txt2img_upscale", False):
        return None  # the gallery's own button: one chosen picture, larger
    if rank.mode == RECIPE:
        return draw_recipes(p, rank)
    return Press(p, rank, board, holder)()
