"""The optimiser behind a session: made from the answers, and kept as long as it is the one that they give."""

from __future__ import annotations

from lib_hps.ranking import Candidate, Optimizer, make_optimizer
from lib_hps.session.state import State


class Following:
    """The optimiser that follows a session's answers."""

    def __init__(self) -> None:
        # what was told last and is ready for the next round: with the events that it knows, and what it has asked
        self._kept: tuple[Optimizer, tuple[int, ...], tuple[Candidate, ...] | None] | None = None

    def keep(self, optimiser: Optimizer, state: State, asked: tuple[Candidate, ...] | None) -> None:
        """The optimiser has been told all answers of `state` and has asked `asked`."""
        self._kept = optimiser, _answered(state), asked

    def forget(self) -> None:
        """What is told and then not written must not be known."""
        self._kept = None

    def after(self, state: State, batch: int, asked: tuple[Candidate, ...] | None) -> Optimizer:
        """The optimiser after the answers of `state`, to which `asked` was shown; the one that is kept if it is that.

        A mixed round has another batch than the rest: the rounds that were told count, of whatever size they are.
        """
        if self._kept is not None:
            optimiser, answered, shown = self._kept
            if optimiser.batch == batch and answered == _answered(state) and shown == asked:
                return optimiser
        wanted = state.optimizer
        optimiser = make_optimizer(wanted["name"], seed=wanted["seed"], batch=batch, **wanted["params"])
        rounds = [
            {"candidates": [_written(c) for c in answer.asked.candidates], "ranking": answer.ranking.to_dict()}
            for answer in state.answers
        ]
        told = {"name": wanted["name"], "seed": wanted["seed"], "batch": batch, "rounds": rounds}
        optimiser.load_state_dict({**told, "asked": None if asked is None else [_written(c) for c in asked]})
        return optimiser


def _answered(state: State) -> tuple[int, ...]:
    return tuple(answer.event for answer in state.answers)


def _written(candidate: Candidate) -> dict[str, str]:
    return {"recipe": candidate.recipe.format(), "role": candidate.role}
