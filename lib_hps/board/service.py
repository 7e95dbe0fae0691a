"""What the board can do, host and HTTP left out: one object for a folder of sessions."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lib_hps.board.answers import read_answer
from lib_hps.board.host import Host
from lib_hps.board.keeper import ChoiceKeeper
from lib_hps.board.rounds import STOP_WITHIN_S, Rounds
from lib_hps.board.views import listed_view, picture_url
from lib_hps.errors import ConflictError, InputError, NotFoundError
from lib_hps.noise import LARGEST_SEED
from lib_hps.ranking import OPTIMIZERS, Ranking
from lib_hps.session import SessionStore, State
from lib_hps.session.archive import export_session, import_session
from lib_hps.session.names import name_from
from lib_hps.session.pictures import read_infotext
from lib_hps.session.settings import merged, whole

Json = dict[str, Any]
DEFAULT_BATCH = 6


class BoardService(Rounds):
    """Sessions of one folder, drawn and scored by one host.

    Args:
        store: the sessions.
        host: draws and scores.
        choices: where answers of people are kept for training; None keeps none.
    """

    def __init__(self, store: SessionStore, host: Host, choices: ChoiceKeeper | None = None) -> None:
        super().__init__(store, host)
        self.choices = choices

    # -- looking

    def listing(self) -> list[Json]:
        """All sessions, newest first."""
        return [listed_view(line) for line in self.store.listing()]

    def trashed(self) -> list[Json]:
        """What may be taken back from the trash."""
        return [listed_view(line) for line in self.store.trashed()]

    def state(self, id: str) -> Json:
        """The state object of the API."""
        session = self.store.open(id)
        return self._view(session, session.state())

    def picture(self, id: str, file: str) -> Path:
        """A picture's or thumbnail's path."""
        return self.store.open(id).picture(file)

    def best(self, id: str) -> Json:
        """The incumbent with all that is needed to draw it again.

        Raises:
            NotFoundError: nothing was answered yet, or it was never drawn.
        """
        session = self.store.open(id)
        state = session.state()
        drawn = state.any_picture(state.best) if state.best else None
        if drawn is None:
            raise NotFoundError("There is no best picture yet. Answer a round first.")
        infotext = read_infotext(session.picture(drawn.file))
        return {"recipe": drawn.recipe, "picture": picture_url(id, drawn.file), "infotext": infotext}

    def options(self) -> Json:
        """What a new session may choose from."""
        name = "default" if "default" in OPTIMIZERS else "random"
        defaults = {
            "settings": self.host.defaults(),
            "batch": DEFAULT_BATCH,
            "optimizer": name,
            "strength": self.host.final_strength,
        }
        return {
            "optimizers": list(OPTIMIZERS),
            "samplers": self.host.samplers(),
            "defaults": defaults,
            "keeps_choices": self.choices is not None and self.choices.is_on,
            "draws_itself": self.host.draws_itself,
            "finishes_itself": self.host.finishes_itself,
        }

    def set_options(self, body: Mapping[str, Any]) -> Json:
        """Change what can be changed: "keeps_choices".

        Raises:
            InputError: another option, or not true or false.
        """
        if set(body) != {"keeps_choices"} or not isinstance(body["keeps_choices"], bool) or self.choices is None:
            raise InputError('Only {"keeps_choices": true or false} can be changed here.')
        self.choices.turn(is_on=body["keeps_choices"])
        return self.options()

    def scorers(self) -> list[Json]:
        """Scorers by name."""
        return [{"name": line.name, "available": line.is_available} for line in self.host.scorers()]

    # -- changing

    def create(self, body: Mapping[str, Any]) -> Json:
        """A new session; what is not said is the host's default.

        Raises:
            InputError: a value that cannot be.
        """
        defaults = self.options()["defaults"]
        given = body.get("settings")
        if not isinstance(given, Mapping) or not given:
            raise InputError('Give the settings, at least {"settings": {"prompt": "a cat"}}.')
        settings = merged({"prompt": "", **defaults["settings"]}, given)
        self.host.check_settings(settings)
        seed = body.get("seed")
        optimizer = {
            "name": body.get("optimizer") or defaults["optimizer"],
            "seed": secrets.randbelow(LARGEST_SEED + 1) if seed is None else seed,
            "batch": DEFAULT_BATCH if body.get("batch") is None else body["batch"],
            "params": body.get("params") or {},
        }
        name = body.get("name")
        made = self.store.create(
            name=name_from(settings["prompt"]) if name in (None, "") else name,
            settings=settings,
            optimizer=optimizer,
            id=body.get("id") or None,
        )
        return self._view(made, made.state())

    def tell(self, id: str, body: Mapping[str, Any]) -> Json:
        """A person's answer of the present round."""
        session = self._idle(id)
        before = session.state()
        round = whole("round", body.get("round"), 1, 10**9)
        if round != before.round:
            raise ConflictError(
                f"Round {round} was answered already, in another tab perhaps; the present one is {before.round}."
            )
        if before.asked is not None and (not before.asked.is_shortlisted or before.missing()):
            raise ConflictError("The pictures of this round are not all there yet. Draw them first.")
        ranking, order = read_answer(before, body)

        def unchanged(now: State) -> Ranking:
            if now.asked != before.asked:
                raise ConflictError("Other candidates are shown by now. Look at them first.")
            return ranking

        after = session.tell(round, unchanged, by="person", order=order, known=_known(body))
        self._tasks.forget(id)
        if self.choices is not None:
            self.choices.keep(session, before, after.answers[-1])
        return self._view(session, after)

    def undo(self, id: str, body: Mapping[str, Any]) -> Json:
        """Take the last answer back."""
        session = self._idle(id)
        before = session.state()
        after = session.undo(known=_known(body))
        self._tasks.forget(id)
        if self.choices is not None:
            for answer in before.answers[len(after.answers) :]:
                self.choices.take_back(session, answer)
        return self._view(session, after)

    def branch(self, id: str, body: Mapping[str, Any]) -> Json:
        """A new session from an earlier round."""
        made = self.store.branch(id, whole("round", body.get("round"), 1, 10**9))
        return self._view(made, made.state())

    def change_settings(self, id: str, body: Mapping[str, Any]) -> Json:
        """Other settings from now on."""
        session = self._idle(id)
        changes = {name: value for name, value in body.items() if name != "version"}
        self.host.check_settings(merged(session.state().settings, changes))
        return self._view(session, session.change_settings(changes, known=_known(body)))

    def rename(self, id: str, body: Mapping[str, Any]) -> Json:
        """Another name."""
        session = self.store.open(id)
        return self._view(session, session.rename(str(body.get("name") or "")))

    def trash(self, id: str) -> None:
        """To the trash folder; a task that runs is stopped first."""
        self._tasks.stop(id, patience_s=STOP_WITHIN_S)
        if self._tasks.running(id):
            raise ConflictError("This session is still drawing. Try again in a moment.")
        with self.store.lock_for(id, "task"):
            self.store.trash(id)

    def restore(self, id: str) -> Json:
        """Back from the trash folder."""
        session = self.store.restore(id)
        return self._view(session, session.state())

    def export(self, id: str, target: Path) -> Path:
        """Write the session as a zip."""
        return export_session(self.store.open(id), target)

    def import_(self, archive: Path) -> Json:
        """A session from a zip of another place."""
        session = import_session(self.store, archive)
        return self._view(session, session.state())


def _known(body: Mapping[str, Any]) -> int | None:
    """The version on which a request was built, where it says so."""
    version = body.get("version")
    return None if version is None else whole("version", version, 0, 10**9)
