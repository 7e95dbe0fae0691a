"""What the script "HPS" is asked for besides a rerank: the arguments behind those of `Options`, in this order."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

from lib_hps.errors import InputError
from lib_hps.noise import NoiseRecipe
from lib_hps.session.settings import clipped

from .options import SCRIPT_TITLE

RERANK, RANK, RECIPE = "Rerank", "Rank", "Recipe"
MODES = (RERANK, RANK, RECIPE)
NOISE_KEY, SESSION_KEY = "HPS noise", "HPS session"
ORIGIN_KEYS = (SESSION_KEY, "HPS round", "HPS optimizer")
Deed = Literal["draw", "mixed", "auto", "finish"]
DEEDS: tuple[Deed, ...] = ("draw", "mixed", "auto", "finish")


def _json_object(name: str, value: object) -> dict[str, Any]:
    """A JSON object as text, as the page sends it, or as it is, as the API may."""
    if isinstance(value, str):
        try:
            value = json.loads(value) if value.strip() else {}
        except (ValueError, RecursionError) as error:
            raise InputError(f"{name} is {clipped(value)}, which is not JSON ({error}).") from error
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InputError(f'{name} is {clipped(value)}; give a JSON object such as {{"do": "draw"}}.')
    return dict(value)


@dataclass(frozen=True, kw_only=True)
class RankOptions:
    """The order of the fields is the order of `script_args`, behind those of `Options`.

    Attributes:
        mode: what the script does.
        session: id of a session that goes on; empty begins one.
        task: what this press of Generate is for, JSON: `{"do": "draw"}` (the default), `{"do": "mixed", "draw": 32,
            "scorer": ...}`, `{"do": "auto", "rounds": 5, "scorer": ...}`, `{"do": "finish", "width": ..., ...}`, the
            bodies of the board's API; "new" in it has what a new session is made with.
        recipe: noise recipes for the mode "Recipe", one for each line.
        origin: JSON of what the infotext says beside a recipe: session, round, optimiser.
    """

    mode: str = RERANK
    session: str = ""
    task: str = ""
    recipe: str = ""
    origin: str = ""

    @classmethod
    def from_args(cls, args: Sequence[Any]) -> RankOptions:
        """Options from what a form or the API hands over.

        Raises:
            InputError: another number of values, or an unknown mode.
        """
        names = [option.name for option in fields(cls)]
        if len(args) != len(names):
            raise InputError(f"Behind those of a rerank come {len(names)} arguments ({', '.join(names)}).")
        made = cls(**{name: "" if value is None else value for name, value in zip(names, args, strict=True)})
        if made.mode not in MODES:
            raise InputError(f"The mode is {clipped(made.mode)}; choose from {', '.join(MODES)}.")
        return made

    def read_task(self) -> tuple[Deed, dict[str, Any]]:
        """What to do, and the body that says how.

        Raises:
            InputError: it cannot be read.
        """
        body = _json_object("task", self.task)
        do = body.pop("do", "draw")
        if do not in DEEDS:
            raise InputError(f"The task is to do {clipped(do)}; choose from {', '.join(DEEDS)}.")
        return do, body

    def read_recipes(self) -> list[NoiseRecipe]:
        """The recipes, at least one.

        Raises:
            InputError: none, or a line that is none.
        """
        lines = [line for line in str(self.recipe).splitlines() if line.strip()]
        if not lines:
            raise InputError(
                "There is no noise recipe. Paste the infotext of a picture that has one (HPS noise), or choose "
                f"another mode than {RECIPE}."
            )
        return [NoiseRecipe.parse(line) for line in lines]

    def read_origin(self) -> dict[str, str]:
        """Infotext parameters to be written beside the recipe."""
        given = _json_object("origin", self.origin)
        return {key: str(given[key]) for key in ORIGIN_KEYS if given.get(key) not in (None, "")}


def pasted(params: Mapping[str, Any], name: str) -> Any:
    """The value of one option in a pasted infotext; None leaves the form as it is.

    A picture with a recipe is drawn again from it alone, on any machine; a text with a session only goes on with that.
    """
    if params.get("Script") != SCRIPT_TITLE:
        return None
    recipe, session = params.get(NOISE_KEY), params.get(SESSION_KEY)
    origin = {key: params[key] for key in ORIGIN_KEYS if key in params}
    values = {
        "mode": RECIPE if recipe else RANK if session else RERANK,
        "session": None if recipe or not session else session,
        "recipe": recipe,
        "origin": json.dumps(origin) if recipe else None,
    }
    return values.get(name)
