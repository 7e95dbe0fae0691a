"""A session: a folder with a log, whose state is the log's replay, and what can be done to it."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lib_hps.errors import ConflictError, InputError
from lib_hps.ranking import Ranking
from lib_hps.ranking.optimizer import LARGEST_BATCH
from lib_hps.session.following import Following
from lib_hps.session.journal import Journal
from lib_hps.session.log import Event
from lib_hps.session.names import check_name
from lib_hps.session.pictures import picture_path, store_picture
from lib_hps.session.settings import FIXED_BATCH, merged, whole
from lib_hps.session.state import Asked, State

if TYPE_CHECKING:
    from PIL.Image import Image


class Session:
    """An open session. Several objects, threads and processes may have the same one open.

    Args:
        folder: of the session; its name is the id.
        locks: where lock files lie (outside, for a session's folder may be moved).
    """

    def __init__(self, folder: Path, locks: Path) -> None:
        self.folder, self.id = folder, folder.name
        self._journal = Journal(folder, locks)
        self._following = Following()

    def state(self) -> State:
        """As `Journal.state`."""
        return self._journal.state()

    def events(self) -> list[Event]:
        """As `Journal.events`."""
        return self._journal.events()

    def ask(
        self, *, count: int | None = None, scorer: str | None = None, anew: bool = False, known: int | None = None
    ) -> State:
        """See to it that the present round has candidates.

        Args:
            count: how many; other than the optimiser's batch only in a mixed round.
            scorer: who will pre-rank them: makes it a mixed round, and asks anew where candidates are there already.
            anew: ask again where a mixed round was given up.
            known: version on which this is built.

        Raises:
            ConflictError: the session went on in between.
            InputError: a count out of range.
        """
        with self._journal.changing(known) as state:
            return state if state.asked is not None and scorer is None and not anew else self._ask(state, count, scorer)

    def _ask(self, state: State, count: int | None = None, scorer: str | None = None) -> State:
        batch = state.optimizer["batch"] if count is None else whole("draw", count, 2, LARGEST_BATCH)
        if batch != state.optimizer["batch"] and state.optimizer["name"] in FIXED_BATCH:
            raise InputError(
                f"The optimiser {state.optimizer['name']!r} needs {state.optimizer['batch']} candidates in every "
                "round, so it cannot have mixed rounds. Begin a session with another optimiser."
            )
        optimiser = self._following.after(state, batch, None)
        candidates = tuple(optimiser.ask())
        shown = shuffled(len(candidates), seed=state.optimizer["seed"], session=self.id, round=state.round)
        written = [[candidate.recipe.format(), candidate.role] for candidate in candidates]
        state = self._journal.write(
            {"type": "asked", "round": state.round, "candidates": written, "shown": shown, "scorer": scorer}
        )
        self._following.keep(optimiser, state, candidates)
        return state

    def shortlist(self, round: int, scores: Sequence[float], keep: int) -> State:
        """Note a scorer's scores of a mixed round; the best `keep` are shown, and the incumbent if it is among them.

        Raises:
            ConflictError: that round is over.
            InputError: a score is NaN, or there are too few.
        """
        with self._journal.changing() as state:
            asked = self._present(state, round)
            Ranking.from_scores(scores)  # refuses NaN
            by_score = sorted(range(len(scores)), key=lambda index: (-scores[index], index))
            chosen = by_score[:keep]
            for index in by_score[keep:]:
                if asked.candidates[index].role == "incumbent":
                    chosen[-1] = index
            chosen.sort(key=asked.shown.index)
            numbers = [float(score) for score in scores]
            return self._journal.write({"type": "shortlisted", "round": round, "shown": chosen, "scores": numbers})

    def add_picture(self, recipe: str, key: str, image: Image, infotext: str) -> State:
        """Keep a picture of a recipe under settings (`State.key`): a fact, whatever happened in between.

        Raises:
            StorageError: it cannot be written.
        """
        self.state()  # a session that was thrown away meanwhile is not begun again by its pictures
        file, thumb = store_picture(self.folder, image, infotext)
        with self._journal.changing():
            return self._journal.write({"type": "picture", "recipe": recipe, "key": key, "file": file, "thumb": thumb})

    def tell(
        self,
        round: int,
        ranking: Callable[[State], Ranking] | Ranking,
        *,
        by: str,
        order: Sequence[Sequence[int]] | None = None,
        marks: Mapping[str, Any] | None = None,
        known: int | None = None,
    ) -> State:
        """Answer the present round and ask for the next one.

        Args:
            round: the round that is meant.
            ranking: of the candidates in the optimiser's order (or how to make it from the state).
            by: "person" or a scorer's name.
            order: as shown, for the history.
            marks: "score", "holdout" and "holdout_by" of the round's winner by recipe, see `Answer`.
            known: version on which the answer is built.

        Raises:
            ConflictError: another round is the present one.
            InputError: the ranking does not fit.
        """
        with self._journal.changing(known) as state:
            asked = self._present(state, round)
            made = ranking(state) if callable(ranking) else ranking
            optimiser = self._following.after(state, len(asked.candidates), asked.candidates)
            self._following.forget()  # what is told and then not written must not be known
            optimiser.tell(made)
            best = optimiser.best.recipe.format()
            told: Event = {
                "type": "told",
                "round": round,
                "ranking": made.to_dict(),
                "order": None if order is None else [list(tier) for tier in order],
                "by": by,
                "best": best,
            }
            for name, of_recipe in (marks or {}).items():
                told[name] = of_recipe.get(best) if isinstance(of_recipe, Mapping) else of_recipe
            state = self._journal.write(told)
            self._following.keep(optimiser, state, None)
            return self._ask(state)

    def undo(self, *, known: int | None = None) -> State:
        """Take the last answer back, and the settings that were changed since.

        Raises:
            InputError: there is none.
            ConflictError: as above.
        """
        with self._journal.changing(known) as state:
            if not state.answers:
                raise InputError("There is no answer to take back: this is the first round.")
            return self._journal.write({"type": "undone", "keeps": state.answers[-1].event - 1})

    def change_settings(self, changes: Mapping[str, Any], *, known: int | None = None) -> State:
        """Change some settings; pictures of the present round are then drawn anew.

        Raises:
            InputError: a setting that cannot be.
            ConflictError: as above.
        """
        with self._journal.changing(known) as state:
            if merged(state.settings, changes) == state.settings:
                return state
            state = self._journal.write({"type": "settings", "changes": dict(changes)})
            return self._ask(state) if state.asked is None else state

    def rename(self, name: str) -> State:
        """Give another name.

        Raises:
            InputError: a name that cannot be.
        """
        with self._journal.changing():
            return self._journal.write({"type": "renamed", "name": check_name(name)})

    def note(self, event: Event) -> State:
        """Write an event that is a note or a fact ("automatic", "referenced", "final")."""
        with self._journal.changing():
            return self._journal.write(event)

    def picture(self, file: str) -> Path:
        """The path of one of its pictures or thumbnails.

        Raises:
            NotFoundError: no such one.
        """
        return picture_path(self.folder, file)

    def optimizer_state(self) -> dict[str, Any]:
        """`state_dict` of the optimiser, as replay gives it."""
        with self._journal.changing() as state:
            asked = state.asked
            batch = len(asked.candidates) if asked else state.optimizer["batch"]
            return self._following.after(state, batch, asked.candidates if asked else None).state_dict()

    def _present(self, state: State, round: int) -> Asked:
        if state.asked is None or round != state.round:
            raise ConflictError(f"Round {round} is over or not yet begun; the present one is {state.round}.")
        return state.asked


def shuffled(count: int, *, seed: int, session: str, round: int) -> list[int]:
    """In which order a round's candidates are shown, so that places tell nothing about roles."""
    order = list(range(count))
    random.Random(f"{seed}/{session}/{round}").shuffle(order)
    return order
