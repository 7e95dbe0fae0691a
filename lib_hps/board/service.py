"""What the board can do, host and HTTP left out: one object for a folder of sessions."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lib_hps.board.answers import read_answer
from lib_hps.board.auto import Plan, other_scorer, run_rounds
from lib_hps.board.drawing import deliver, draw_missing, expected
from lib_hps.board.finishing import finish_best, read_final
from lib_hps.board.host import Host, Order
from lib_hps.board.keeper import ChoiceKeeper
from lib_hps.board.mixed import run_mixed
from lib_hps.board.tasks import Kind, Task, Tasks
from lib_hps.board.views import listed_view, picture_url, state_view
from lib_hps.errors import Cancelled, ConflictError, InputError, NotFoundError
from lib_hps.noise import LARGEST_SEED
from lib_hps.ranking import OPTIMIZERS, Ranking
from lib_hps.session import Session, SessionStore, State
from lib_hps.session.archive import export_session, import_session
from lib_hps.session.pictures import read_infotext
from lib_hps.session.settings import merged, whole

if TYPE_CHECKING:
    from PIL.Image import Image

Json = dict[str, Any]
DEFAULT_BATCH = 6
_STOP_WITHIN_S = 60.0
log = logging.getLogger(__name__)


class BoardService:
    """Sessions of one folder, drawn and scored by one host.

    Args:
        store: the sessions.
        host: draws and scores.
        choices: where answers of people are kept for training; None keeps none.
    """

    def __init__(self, store: SessionStore, host: Host, choices: ChoiceKeeper | None = None) -> None:
        self.store, self.host, self.choices = store, host, choices
        self._tasks = Tasks()

    # -- looking

    def list(self) -> list[Json]:
        """All sessions, newest first."""
        return [listed_view(line) for line in self.store.list()]

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
        defaults = {"settings": self.host.defaults(), "batch": DEFAULT_BATCH, "optimizer": name}
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
        words = " ".join(word for word in settings["prompt"].split())
        made = self.store.create(
            name=words[:80] if name in (None, "") else name, settings=settings, optimizer=optimizer
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
        self._tasks.stop(id, patience_s=_STOP_WITHIN_S)
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

    # -- a host that does not draw by itself: it asks what to draw, and brings the pictures when they are there

    def expect(self, id: str) -> Order:
        """What the present round lacks."""
        return expected(self.store.open(id))

    def deliver(self, id: str, order: Order, index: int, image: Image, infotext: str) -> Json:
        """A picture of an order has arrived."""
        session = self.store.open(id)
        return self._view(session, deliver(session, order, index, image, infotext))

    # -- in the background

    def draw(self, id: str) -> Json:
        """Draw what the present round lacks (and pre-rank it, in a mixed round)."""
        session = self.store.open(id)
        state = session.ask()
        asked = state.asked
        if asked is not None and not asked.is_shortlisted:
            return self.mixed(id, {"draw": len(asked.candidates), "scorer": asked.scorer})
        if not state.missing():
            return self._view(session, state)

        def work(task: Task) -> str:
            draw_missing(session, self.host, report=task.report, cancelled=task.cancelled.is_set)
            return ""

        return self._start(session, "draw", work)

    def auto(self, id: str, body: Mapping[str, Any]) -> Json:
        """Rounds by a scorer."""
        session = self.store.open(id)
        plan = Plan.read(body, other_scorer(self.host, str(body.get("scorer"))))
        if session.state().asked is not None and not session.state().asked.is_shortlisted:  # type: ignore[union-attr]
            session.ask(anew=True)

        def work(task: Task) -> str:
            return run_rounds(session, self.host, plan, report=task.report, cancelled=task.cancelled.is_set)

        return self._start(session, "auto", work)

    def mixed(self, id: str, body: Mapping[str, Any]) -> Json:
        """Draw many, let a scorer show its best few."""
        count, scorer = whole("draw", body.get("draw", 32), 2, 64), str(body.get("scorer") or "")
        session = self.store.open(id)

        def work(task: Task) -> str:
            return run_mixed(session, self.host, count, scorer, report=task.report, cancelled=task.cancelled.is_set)

        return self._start(session, "mixed", work)

    def finish(self, id: str, body: Mapping[str, Any]) -> Json:
        """The best at its full size."""
        session = self.store.open(id)
        wanted = read_final(session.state(), body)

        def work(task: Task) -> str:
            return finish_best(session, self.host, wanted, report=task.report, cancelled=task.cancelled.is_set)

        return self._start(session, "finish", work)

    def cancel(self, id: str) -> Json:
        """Stop what runs; what is finished is kept."""
        session = self.store.open(id)
        self._tasks.stop(id, patience_s=1.0)
        return self._view(session, session.state())

    def close(self) -> None:
        """Stop every task (the program ends)."""
        for id in list(self._tasks.ids()):
            self._tasks.stop(id, patience_s=_STOP_WITHIN_S)

    def _start(self, session: Session, kind: Kind, work: Callable[[Task], str]) -> Json:
        is_possible = self.host.finishes_itself if kind == "finish" else self.host.draws_itself
        if not is_possible:
            raise InputError("In this program the pictures are drawn by its own Generate button. Press that.")

        def run(task: Task) -> None:
            try:
                task.note = work(task)
            except Cancelled as stop:
                task.note = str(stop)

        task = self._tasks.start(session.id, kind, run, self.store.lock_for(session.id, "task"))
        return state_view(session, session.state(), task)

    def _idle(self, id: str) -> Session:
        session = self.store.open(id)
        running = self._tasks.running(id)
        if running is not None:
            raise ConflictError(f"This session is busy ({running.kind}). Wait for it, or cancel it first.")
        return session

    def _view(self, session: Session, state: State) -> Json:
        return state_view(session, state, self._tasks.last(session.id))


def _known(body: Mapping[str, Any]) -> int | None:
    """The version on which a request was built, where it says so."""
    version = body.get("version")
    return None if version is None else whole("version", version, 0, 10**9)
