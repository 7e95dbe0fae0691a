"""Keeps people's answers for training later, where the user lets it."""

from __future__ import annotations

import json
import logging
from pathlib import Path

from lib_hps.errors import HpsError
from lib_hps.files import atomic_write
from lib_hps.preferences.choices import Choice, record, retract
from lib_hps.ranking import Ranking
from lib_hps.session import Answer, Session, State

log = logging.getLogger(__name__)


class ChoiceKeeper:
    """Writes choices to a folder of this machine; the setting lies beside them.

    Args:
        folder: of the choices.
        is_on: the setting at first, before anybody has changed it.
    """

    def __init__(self, folder: Path, *, is_on: bool = True) -> None:
        self.folder, self._first = folder, is_on

    @property
    def is_on(self) -> bool:
        """Whether answers are kept."""
        try:
            return bool(json.loads((self.folder / "settings.json").read_text("utf-8"))["keeps_choices"])
        except (OSError, ValueError, KeyError, TypeError):
            return self._first

    def turn(self, *, is_on: bool) -> None:
        """Change the setting for good.

        Raises:
            StorageError: it cannot be written.
        """
        with atomic_write(self.folder / "settings.json", "w") as stream:
            json.dump({"keeps_choices": is_on}, stream)

    def keep(self, session: Session, before: State, answer: Answer) -> None:
        """Keep an answer of a person; where that fails the answer itself is safe in the session's log."""
        asked = before.asked
        if not self.is_on or asked is None:
            return
        places = {index: place for place, index in enumerate(asked.shown)}
        edges = [(places[a], places[b]) for a, b in answer.ranking.edges if a in places and b in places]
        among = Ranking(len(asked.shown), tuple(sorted(edges)))
        weights, winners = among.weights(), among.best()
        recipes = [asked.candidates[index].recipe.format() for index in asked.shown]
        try:
            drawn = [before.picture(recipe) for recipe in recipes]
            choice = Choice(
                id=_id(session, answer),
                prompt=before.settings["prompt"],
                pictures=[session.picture(one.file) for one in drawn if one is not None],
                edges=among.edges,
                best=max(winners, key=lambda place: weights[place]) if winners else None,
                time=session.state().updated,
                settings=before.settings,
                recipes=recipes,
                seed=before.optimizer["seed"],
            )
            record(self.folder, choice)
        except HpsError as error:
            log.warning("The answer is in the session, but was not kept for training: %s", error)

    def take_back(self, session: Session, answer: Answer) -> None:
        """Forget an answer of a person that was undone."""
        if answer.by != "person" or not (self.folder / "choices.jsonl").is_file():
            return
        try:
            retract(self.folder, _id(session, answer))
        except HpsError as error:
            log.warning("The answer was taken back, but is still kept for training: %s", error)


def _id(session: Session, answer: Answer) -> str:
    return f"{session.id}/{answer.event}"
