"""From what was answered, in numbers as shown, to a ranking of the candidates in the optimiser's order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lib_hps.errors import InputError
from lib_hps.ranking import Ranking
from lib_hps.session import Asked, State
from lib_hps.session.settings import clipped

Tiers = list[list[int]]


def read_answer(state: State, body: Mapping[str, Any]) -> tuple[Ranking, Tiers | None]:
    """An answer of a person.

    Args:
        state: with the round that is shown.
        body: one of "order" (tiers of numbers, best first), "none_better": true, "pairs" ([better, worse], ...).

    Returns:
        The ranking of all candidates, and the order as shown: [] for "none is better", None for pairs.

    Raises:
        InputError: none or several of them, or numbers that are not shown.
    """
    asked = state.asked
    if asked is None:
        raise InputError("There is nothing to answer yet: ask for candidates first.")
    forms = [name for name in ("order", "none_better", "pairs") if body.get(name) not in (None, False)]
    if len(forms) != 1:
        raise InputError('Answer with one of "order", "none_better" or "pairs".')
    if forms == ["none_better"]:
        return none_better(state, asked), []
    if forms == ["order"]:
        tiers = _tiers(body["order"], asked)
        return ranked(asked, tiers), tiers
    return _pairs(body["pairs"], asked), None


def ranked(asked: Asked, tiers: Sequence[Sequence[int]]) -> Ranking:
    """Tiers of shown numbers; who is shown and not named is worse than all named, who is not shown worse than all."""
    shown = [asked.shown[number - 1] for tier in tiers for number in tier]
    hidden = _hidden(asked)
    if not hidden:
        places = Ranking.order([tuple(number - 1 for number in tier) for tier in tiers], len(asked.shown))
        return places.shown_as(asked.shown)
    rest = [index for index in asked.shown if index not in shown]
    by_index: list[Sequence[int]] = [[asked.shown[number - 1] for number in tier] for tier in tiers]
    return Ranking.order([*by_index, *([rest] if rest else []), hidden], len(asked.candidates))


def none_better(state: State, asked: Asked) -> Ranking:
    """Nothing beats the incumbent; in the first round, which has none, nothing is known."""
    incumbent = incumbent_index(state, asked)
    return Ranking.none_better(len(asked.candidates), incumbent)


def incumbent_index(state: State, asked: Asked) -> int | None:
    """Which candidate is the best so far, shown again."""
    if state.best is None:
        return None
    recipes = [candidate.recipe.format() for candidate in asked.candidates]
    return recipes.index(state.best) if state.best in recipes else None


def tiers_of(asked: Asked, scores: Sequence[float]) -> Tiers:
    """The shown numbers by falling score (`scores` in the optimiser's order), equal scores together."""
    by_score: dict[float, list[int]] = {}
    for number, index in enumerate(asked.shown, 1):
        by_score.setdefault(scores[index], []).append(number)
    return [by_score[score] for score in sorted(by_score, reverse=True)]


def _tiers(value: object, asked: Asked) -> Tiers:
    if not isinstance(value, Sequence) or isinstance(value, (str, bytes)) or not value:
        raise InputError("The order is empty. Name at least the best candidate, such as [[3]].")
    tiers = [list(tier) if isinstance(tier, (list, tuple)) else [tier] for tier in value]
    named = [number for tier in tiers for number in tier]
    for number in named:
        _check_number(number, asked)
        if named.count(number) > 1:
            raise InputError(f"Candidate {number} is ranked twice. Name each once.")
    return [tier for tier in tiers if tier]


def _pairs(value: object, asked: Asked) -> Ranking:
    if not isinstance(value, Sequence) or isinstance(value, (str, bytes)) or not 0 < len(value) <= 10_000:
        raise InputError("Give at least one pair [better, worse], such as [[3, 1]].")
    votes = []
    for pair in value:
        if not isinstance(pair, (list, tuple)) or len(pair) != 2:
            raise InputError(f"{clipped(pair)} is no pair. Give [better, worse].")
        better, worse = (_check_number(number, asked) for number in pair)
        if better == worse:
            raise InputError(f"Candidate {better} cannot be better than itself.")
        votes.append((asked.shown[better - 1], asked.shown[worse - 1]))
    hidden = [(shown, worse) for shown in asked.shown for worse in _hidden(asked)]
    # people change their minds and go round in circles: the majority counts, a circle means equal
    return Ranking.from_votes([*votes, *hidden], len(asked.candidates))


def _hidden(asked: Asked) -> list[int]:
    """Candidates of a mixed round that the scorer put aside."""
    return [index for index in range(len(asked.candidates)) if index not in asked.shown]


def _check_number(number: object, asked: Asked) -> int:
    if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= len(asked.shown):
        raise InputError(f"{clipped(number)} is no candidate; they are numbered 1 to {len(asked.shown)}.")
    return number
