"""Drawing, scored and finished rounds of a service: in the background, or by a host that draws when it likes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from lib_hps.board.auto import Plan, other_scorer, run_rounds
from lib_hps.board.drawing import deliver, draw_missing, expected
from lib_hps.board.finishing import deliver_final, final_order, finish_best, read_final
from lib_hps.board.host import FinalOrder, Host, Order
from lib_hps.board.judges import Judge
from lib_hps.board.mixed import begin_mixed, run_mixed, show_best
from lib_hps.board.tasks import Kind, Task, Tasks
from lib_hps.board.views import state_view
from lib_hps.errors import Cancelled, ConflictError, InputError
from lib_hps.session import Session, SessionStore, State
from lib_hps.session.settings import whole

if TYPE_CHECKING:
    from PIL.Image import Image

Json = dict[str, Any]
STOP_WITHIN_S = 60.0


class Rounds:
    """What `BoardService` does with its host.

    Args:
        store: the sessions.
        host: draws and scores.
    """

    def __init__(self, store: SessionStore, host: Host) -> None:
        self.store, self.host = store, host
        self._tasks = Tasks()

    # -- a host that does not draw by itself: it asks what to draw, and brings the pictures when they are there

    def expect(self, id: str, *, mixed: int | None = None, scorer: str = "") -> Order:
        """What the present round lacks; with `mixed` of a mixed round of so many candidates."""
        session = self.store.open(id)
        if mixed is not None:
            Judge(self.host, session, scorer)  # refuses one that cannot score before anything is drawn
            begin_mixed(session, mixed, scorer)
        return expected(session)

    def deliver(self, id: str, order: Order, index: int, image: Image, infotext: str) -> Json:
        """A picture of an order has arrived."""
        session = self.store.open(id)
        return self._view(session, deliver(session, order, index, image, infotext))

    def pre_rank(self, id: str) -> Json:
        """The pictures of a mixed round are there: let its scorer show the best."""
        session = self.store.open(id)
        asked = session.state().asked
        if asked is None or asked.scorer is None or asked.is_shortlisted:
            raise ConflictError("This is no mixed round that waits for its scorer.")
        show_best(session, Judge(self.host, session, asked.scorer))
        return self._view(session, session.state())

    def expect_final(self, id: str, body: Mapping[str, Any]) -> FinalOrder:
        """What has to be drawn for the best at its full size."""
        session = self.store.open(id)
        state = session.state()
        return final_order(session, state, read_final(state, body, self.host.final_strength))

    def deliver_final(self, id: str, order: FinalOrder, image: Image, infotext: str) -> Json:
        """The best has arrived at its full size."""
        session = self.store.open(id)
        deliver_final(session, order, image, infotext)
        return self._view(session, session.state())

    @contextmanager
    def attend(self, id: str, kind: Kind) -> Iterator[Task]:
        """A host draws now, by itself: the board sees it, may stop it, and nobody else draws this session meanwhile.

        Raises:
            ConflictError: the session is busy, here or in another program.
        """
        with self._tasks.attend(id, kind, self.store.lock_for(id, "task")) as task:
            yield task

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
        wanted = read_final(session.state(), body, self.host.final_strength)

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
            self._tasks.stop(id, patience_s=STOP_WITHIN_S)

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
