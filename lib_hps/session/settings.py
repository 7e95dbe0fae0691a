"""The settings of a session's pictures and its optimiser: plain JSON, checked as far as every host checks alike."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from lib_hps.errors import InputError
from lib_hps.noise import LARGEST_SEED
from lib_hps.ranking import OPTIMIZERS
from lib_hps.ranking.optimizer import LARGEST_BATCH, SMALLEST_BATCH

LONGEST_PROMPT = 20_000
FIXED_BATCH = frozenset({"cmaes"})  # its population is of one size for good
_TEXTS = {"prompt": LONGEST_PROMPT, "negative": LONGEST_PROMPT, "sampler": 100, "model": 300}
_MORE, LONGEST_MORE = "more", 4000
_WHOLE = {"steps": (1, 1000), "width": (16, 8192), "height": (16, 8192)}


def check_settings(given: object) -> dict[str, Any]:
    """Settings with every known field, in a fixed order.

    "more" may be missing: a text of what else decides how pictures look in the host that draws them.

    Raises:
        InputError: a field missing, unknown, or out of range; named.
    """
    if not isinstance(given, Mapping):
        raise InputError(f'The settings are {clipped(given)}; give an object such as {{"prompt": "a cat"}}.')
    fields = [*_TEXTS, *_WHOLE, "cfg"]
    for name in given:
        if name not in (*fields, _MORE):
            raise InputError(f"There is no setting {clipped(name)}. Settings are {', '.join((*fields, _MORE))}.")
    for name in fields:
        if name not in given:
            raise InputError(f"The setting {name!r} is missing.")
    checked: dict[str, Any] = {name: _text(name, given[name], longest) for name, longest in _TEXTS.items()}
    if not checked["prompt"].strip():
        raise InputError("Write a prompt first: say what the picture should show.")
    for name, (lowest, highest) in _WHOLE.items():
        checked[name] = whole(name, given[name], lowest, highest)
    cfg = given["cfg"]
    if isinstance(cfg, bool) or not isinstance(cfg, (int, float)) or not math.isfinite(cfg) or not 0 <= cfg <= 100:
        raise InputError(f"cfg is {clipped(cfg)}; give a number from 0 to 100.")
    more = _text(_MORE, given.get(_MORE, ""), LONGEST_MORE)
    return {**checked, "cfg": float(cfg), **({_MORE: more} if more else {})}


def merged(settings: Mapping[str, Any], changes: object) -> dict[str, Any]:
    """Settings with some of them changed.

    Raises:
        InputError: as `check_settings`, or nothing is changed.
    """
    if not isinstance(changes, Mapping) or not changes:
        raise InputError('Say which setting to change, such as {"prompt": "a cat"}.')
    return check_settings({**settings, **changes})


def check_optimizer(given: object) -> dict[str, Any]:
    """Name, seed, batch and parameters, as `make_optimizer` will take them.

    Raises:
        InputError: a field missing or out of range; named.
    """
    if not isinstance(given, Mapping):
        raise InputError(f"The optimiser is {clipped(given)}; give an object with name, seed and batch.")
    name, params = given.get("name"), given.get("params") or {}
    if name not in OPTIMIZERS:
        raise InputError(f"There is no optimiser {clipped(name)}. Take one of {', '.join(OPTIMIZERS)}.")
    if not isinstance(params, Mapping) or len(json.dumps(dict(params))) > 2000:
        raise InputError("The optimiser's parameters have to be a small object of names and numbers.")
    for key, value in params.items():
        if not isinstance(value, (int, float, str, bool)) or (isinstance(value, float) and not math.isfinite(value)):
            raise InputError(f"The optimiser's parameter {key!r} is {clipped(value)}; give a number or a word.")
    return {
        "name": name,
        "seed": whole("seed", given.get("seed"), 0, LARGEST_SEED),
        "batch": whole("batch", given.get("batch"), SMALLEST_BATCH, LARGEST_BATCH),
        "params": dict(params),
    }


def whole(name: str, value: object, lowest: int, highest: int) -> int:
    """A whole number in a range.

    Raises:
        InputError: it is none; named.
    """
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= highest:
        raise InputError(f"{name} is {clipped(value)}; give a whole number from {lowest} to {highest}.")
    return value


def clipped(value: object) -> str:
    """A value for an error message, cut off."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _text(name: str, value: object, longest: int) -> str:
    if not isinstance(value, str) or len(value) > longest:
        raise InputError(f"{name} is {clipped(value)}; give a text of at most {longest} characters.")
    if "\0" in value or any(0xD800 <= ord(mark) <= 0xDFFF for mark in value):
        raise InputError(f"{name} holds characters that no text file can hold. Remove them.")
    return value
