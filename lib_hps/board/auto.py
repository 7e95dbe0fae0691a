"""Rounds that a scorer answers, one after another, until something says that it is enough."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lib_hps.board.answers import tiers_of
from lib_hps.board.drawing import Report, draw_missing, expected
from lib_hps.board.host import Host
from lib_hps.board.judges import Judge
from lib_hps.board.trends import is_plateau
from lib_hps.errors import Cancelled, InputError
from lib_hps.ranking import Ranking
from lib_hps.scoring.registry import REGISTRY
from lib_hps.session import Session, State
from lib_hps.session.settings import clipped, whole

MOST_ROUNDS, MOST_IMAGES = 1000, 10_000


@dataclass(frozen=True)
class Plan:
    """What an automatic run may do.

    Attributes:
        rounds: at most so many.
        scorer: that answers; a name or an ensemble.
        holdout: another one that only watches.
        images: at most so many pictures are drawn; None for no limit.
        patience: stop after so many rounds without gain; None never stops for that.
    """

    rounds: int
    scorer: str
    holdout: str | None = None
    images: int | None = None
    patience: int | None = None

    @classmethod
    def read(cls, body: Mapping[str, Any], default_holdout: str | None = None) -> Plan:
        """From a request; "holdout": null means none, no "holdout" at all the default one.

        Raises:
            InputError: a value that cannot be; named.
        """
        scorer, holdout = body.get("scorer"), body.get("holdout", default_holdout)
        for name, value in (("scorer", scorer), ("holdout", holdout)):
            is_missing = value is None and name == "holdout"
            if not is_missing and (not isinstance(value, str) or not 0 < len(value) <= 500):
                raise InputError(f"{name} is {clipped(value)}; give the name of a scorer.")
        if scorer == holdout:
            raise InputError(f"{scorer!r} cannot be its own held-out scorer. Choose another one, or none.")
        images, patience = body.get("images"), body.get("patience")
        return cls(
            whole("rounds", body.get("rounds", 10), 1, MOST_ROUNDS),
            str(scorer),
            holdout,
            None if images is None else whole("images", images, 2, MOST_IMAGES),
            None if patience is None else whole("patience", patience, 1, MOST_ROUNDS),
        )


def run_rounds(session: Session, host: Host, plan: Plan, *, report: Report, cancelled: Callable[[], bool]) -> str:
    """Draw, score and answer round after round; every finished round is in the session's log.

    Returns:
        Why it stopped, in words.

    Raises:
        Cancelled: after `cancelled()`; the best so far is the session's.
        HpsError: as the host's and the scorers'.
    """
    judge = Judge(host, session, plan.scorer)
    holdout = Judge(host, session, plan.holdout) if plan.holdout else None
    session.note({"type": "automatic", **vars(plan)})
    drawn, scores = 0, _scores_so_far(session.state(), plan.scorer)
    for done in range(plan.rounds):
        order = expected(session)
        incumbent = _thumb(session.state())
        if plan.images is not None and drawn + len(order.items) > plan.images:
            if not drawn:
                raise InputError(f"images is {plan.images}, but one round alone draws {len(order.items)}. Allow more.")
            return f"Stopped after {done} of {plan.rounds} rounds: the budget of {plan.images} pictures is used up."

        def part(text: str, share: float, newest: str | None, at: int = done, best: str | None = incumbent) -> None:
            report(f"round {at + 1} of {plan.rounds}: {text}", (at + 0.95 * share) / plan.rounds, best or newest)

        drawn += draw_missing(session, host, report=part, cancelled=cancelled)
        if cancelled():
            raise Cancelled("Stopped; the best so far is kept.")
        scores.append(answer_round(session, judge, holdout))
        report(f"round {done + 1} of {plan.rounds} done", (done + 1) / plan.rounds, _thumb(session.state()))
        if plan.patience is not None and is_plateau(scores, plan.patience) and done + 1 < plan.rounds:
            return f"Stopped after {done + 1} of {plan.rounds} rounds: no gain for {plan.patience} rounds."
    return f"All {plan.rounds} rounds are done, {drawn} pictures drawn."


def _thumb(state: State) -> str | None:
    """The incumbent's thumbnail."""
    drawn = state.any_picture(state.best) if state.best else None
    return drawn.thumb if drawn else None


def other_scorer(host: Host, scorer: str) -> str | None:
    """One that can watch: ready, and no part of the scorer that is optimised.

    The bundled scorers have seen nothing but emoji: they watch each other, not a scorer of real pictures.
    """
    ready = [line.name for line in host.scorers() if line.is_available and line.name not in scorer]
    return next((name for name in ready if _is_bundled(scorer) or not _is_bundled(name)), None)


def _is_bundled(scorer: str) -> bool:
    return any(entry.is_bundled and entry.name in scorer for entry in REGISTRY.values())


def _scores_so_far(state: State, scorer: str) -> list[float]:
    """The incumbent's score where the same scorer's run goes on."""
    last = state.answers[-1] if state.answers else None
    return [last.score] if last is not None and last.by == scorer and last.score is not None else []


def answer_round(session: Session, judge: Judge, holdout: Judge | None) -> float:
    """Let the scorer answer the present round, which is drawn; gives the winner's score.

    Raises:
        InputError: a picture is missing.
        ConflictError: somebody else answered it.
        HpsError: as the scorers'.
    """
    state = session.state()
    recipes, files = pictures_of(session, state)
    scores = judge.score(files)
    marks: dict[str, Any] = {"score": dict(zip(recipes, scores, strict=True))}
    if holdout is not None:
        marks |= {"holdout": dict(zip(recipes, holdout.score(files), strict=True)), "holdout_by": holdout.name}
    if state.asked is None:
        raise InputError("The round was taken back while it was scored.")
    after = session.tell(
        state.round, Ranking.from_scores(scores), by=judge.name, order=tiers_of(state.asked, scores), marks=marks
    )
    told = after.answers[-1].score
    return told if told is not None else max(scores)


def pictures_of(session: Session, state: State) -> tuple[list[str], list[Path]]:
    """Recipes and files of all candidates of the present round, in the optimiser's order.

    Raises:
        InputError: one is not drawn yet.
    """
    recipes, files = [], []
    for candidate in state.asked.candidates if state.asked else ():
        recipe = candidate.recipe.format()
        drawn = state.picture(recipe)
        if drawn is None:
            raise InputError("A picture of this round is not drawn yet. Draw the round first.")
        recipes.append(recipe)
        files.append(session.picture(drawn.file))
    return recipes, files
