"""From events to state, one handler for each type of event; what does not fit is refused and named."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, get_args

from lib_hps.errors import InputError
from lib_hps.noise import NoiseRecipe
from lib_hps.ranking import Candidate, Ranking, Role
from lib_hps.session.log import Event
from lib_hps.session.names import PICTURE, THUMB, check_name
from lib_hps.session.settings import check_optimizer, check_settings, clipped, merged
from lib_hps.session.state import FACTS, Answer, Asked, Drawn, Final, State, live_events

_MOST_CANDIDATES = 64


def replay(events: Iterable[Event], *, id: str) -> State:
    """The state after these events.

    Raises:
        InputError: an event that cannot be, named by its number.
    """
    events = list(events)
    state = State(id=id)
    for event in live_events(events):
        apply(state, event)
    for event in events:
        close(state, event)
    return state


def apply(state: State, event: Event) -> None:
    """Take one event into the state.

    Raises:
        InputError: it cannot follow on this state; the state is not to be used any more then.
    """
    try:
        handler = _HANDLERS[event["type"]]
        if (event["type"] == "created") is bool(state.created):
            raise InputError("a log begins with 'created', and has it once")
        handler(state, event)
        close(state, event)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:  # InputError is a ValueError
        raise InputError(f"Event {event.get('n')} of the session {state.id} cannot be: {error}") from error


def close(state: State, event: Event) -> None:
    """Note which events there were, those that were taken back included."""
    state.version = max(state.version, event["n"])
    state.updated = max(state.updated, _text(event["time"], 40))
    if event["type"] not in FACTS:
        state.decided = max(state.decided, event["n"])


def _created(state: State, event: Event) -> None:
    state.created = _text(event["time"], 40)
    state.name = check_name(event["name"])
    state.settings = check_settings(event["settings"])
    state.optimizer = check_optimizer(event["optimizer"])
    origin = event.get("origin")
    state.origin = None if origin is None else {"session": _text(origin["session"], 40), "round": int(origin["round"])}


def _asked(state: State, event: Event) -> None:
    candidates = tuple(_candidate(*pair) for pair in event["candidates"])
    if not 2 <= len(candidates) <= _MOST_CANDIDATES:
        raise InputError(f"a round has 2 to {_MOST_CANDIDATES} candidates, not {len(candidates)}")
    _same_round(state, event)
    scorer = event.get("scorer")
    state.asked = Asked(
        state.round,
        candidates,
        _positions(event["shown"], len(candidates), are_all=True),
        scorer=None if scorer is None else _text(scorer, 1000),
        is_shortlisted=scorer is None,
    )


def _shortlisted(state: State, event: Event) -> None:
    asked = _present(state)
    _same_round(state, event)
    state.asked = replace(
        asked,
        shown=_positions(event["shown"], len(asked.candidates)),
        scores=tuple(_number(score) for score in event["scores"]),
        is_shortlisted=True,
    )
    if len(state.asked.scores or ()) != len(asked.candidates):
        raise InputError("there is not one score for each candidate")


def _picture(state: State, event: Event) -> None:
    recipe = NoiseRecipe.parse(_text(event["recipe"], 10_000)).format()
    drawn = Drawn(recipe, _text(event["key"], 12), *_files(event))
    state.pictures[drawn.key, recipe] = drawn


def _told(state: State, event: Event) -> None:
    asked = _present(state)
    _same_round(state, event)
    ranking = Ranking.from_dict(event["ranking"])
    if ranking.count != len(asked.candidates):
        raise InputError(f"the ranking is of {ranking.count} candidates, {len(asked.candidates)} were asked")
    order = event.get("order")
    best = NoiseRecipe.parse(_text(event["best"], 10_000)).format()
    score, holdout = (None if event.get(name) is None else _number(event[name]) for name in ("score", "holdout"))
    state.answers.append(
        Answer(
            event["n"],
            asked,
            ranking,
            None if order is None else tuple(tuple(int(number) for number in tier) for tier in order),
            _text(event["by"], 1000),
            best,
            state.any_picture(best),
            score,
            holdout,
            None if event.get("holdout_by") is None else _text(event["holdout_by"], 1000),
            "; ".join(state.changes) or None,
        )
    )
    state.asked, state.changes = None, []


def _settings(state: State, event: Event) -> None:
    after = merged(state.settings, event["changes"])
    names = [name for name in {**state.settings, **after} if after.get(name) != state.settings.get(name)]
    state.changes += [f"{name}: {state.settings.get(name, '')} -> {after.get(name, '')}" for name in names]
    state.settings = after
    if state.asked is not None and state.asked.scorer is not None:
        state.asked = None  # a scorer's choice among other pictures is worth nothing now


def _renamed(state: State, event: Event) -> None:
    state.name = check_name(event["name"])


def _final(state: State, event: Event) -> None:
    recipe = NoiseRecipe.parse(_text(event["recipe"], 10_000)).format()
    numbers = (int(event[name]) for name in ("round", "answers", "width", "height"))
    state.finals.append(Final(*_files(event), recipe, *numbers))


def _referenced(state: State, event: Event) -> None:
    numbers = {name: [_number(value) for value in event[name]] for name in ("mean", "deviation")}
    state.references[_text(event["scorer"], 1000)] = numbers


def _nothing(state: State, event: Event) -> None:
    """A note for whoever reads the log: a run of a scorer began."""


_HANDLERS: dict[str, Callable[[State, Event], None]] = {
    "created": _created,
    "asked": _asked,
    "shortlisted": _shortlisted,
    "picture": _picture,
    "told": _told,
    "settings": _settings,
    "renamed": _renamed,
    "final": _final,
    "referenced": _referenced,
    "automatic": _nothing,
}


def _present(state: State) -> Asked:
    if state.asked is None:
        raise InputError("no candidates were asked for before it")
    return state.asked


def _same_round(state: State, event: Event) -> None:
    if event["round"] != state.round:
        raise InputError(f"it is of round {event['round']!r}, the present one is {state.round}")


def _candidate(recipe: object, role: object) -> Candidate:
    if role not in get_args(Role):
        raise InputError(f"{role!r} is no role")
    return Candidate(NoiseRecipe.parse(_text(recipe, 10_000)), role)  # type: ignore[arg-type]


def _positions(value: object, count: int, *, are_all: bool = False) -> tuple[int, ...]:
    if not isinstance(value, list) or not value or not all(type(index) is int for index in value):
        raise InputError(f"{clipped(value)} are no positions")
    if len(set(value)) != len(value) or not set(value) <= set(range(count)) or (are_all and len(value) != count):
        raise InputError(f"{value} are no positions of {count} candidates")
    return tuple(value)


def _files(event: Event) -> tuple[str, str]:
    file, thumb = _text(event["file"], 40), _text(event["thumb"], 40)
    if not PICTURE.fullmatch(file) or not THUMB.fullmatch(thumb):
        raise InputError(f"{file!r}, {thumb!r} are no names of pictures")
    return file, thumb


def _text(value: object, longest: int) -> str:
    if not isinstance(value, str) or len(value) > longest:
        raise InputError(f"{clipped(value)} is no text of at most {longest} characters")
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise InputError(f"{clipped(value)} is no number")
    return float(value)
