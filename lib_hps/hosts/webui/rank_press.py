"""The modes "Rank" and "Recipe": a press of Generate draws a round, or more by a scorer, and waits for nobody."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from modules import shared
from PIL import Image

from lib_hps.board.auto import Plan, other_scorer, run_rounds
from lib_hps.board.drawing import draw_missing
from lib_hps.board.finishing import finish_best, read_final
from lib_hps.board.mixed import run_mixed
from lib_hps.board.service import BoardService
from lib_hps.board.tasks import Task
from lib_hps.board.trends import warning_of
from lib_hps.errors import Cancelled, HpsError, NotFoundError
from lib_hps.ranking.optimizer import SMALLEST_BATCH
from lib_hps.session import Session, State
from lib_hps.session.pictures import read_infotext
from lib_hps.session.settings import whole

from . import features
from .pictures import Picture
from .rank_draw import batch_size, draw_batch, wishes_of
from .rank_host import PressedHost
from .rank_options import SESSION_KEY, RankOptions
from .rank_settings import settings_of
from .result import Shown, processed_of
from .scorers import ScorerHolder


class Press:
    """One press of Generate in the mode "Rank".

    Args:
        p: the WebUI's processing object; its pictures are made by copies of it.
    """

    def __init__(self, p: Any, options: RankOptions, board: BoardService, holder: ScorerHolder) -> None:
        self._p, self._options, self._board, self._holder = p, options, board, holder

    def __call__(self) -> Any:
        """Do what is asked; returns the WebUI's `Processed`.

        Raises:
            HpsError: it cannot be done; what was finished before is in the session.
        """
        do, body = self._options.read_task()
        with features.own_settings(self._p):
            session = self._session(body.pop("new", None))
            host = PressedHost(self._holder, self._p)
            try:
                with self._board.attend(session.id, do) as task:
                    try:
                        note = self._work(do, body, session, host, task)
                    except Cancelled as stop:
                        note = str(stop)
                    task.note = note
            finally:
                shared.state.textinfo = None
                self._holder.rest(keep_loaded=bool(getattr(shared.opts, "hps_keep_loaded", False)))
            return self._show(do, session, host, note)

    def _session(self, new: dict[str, Any] | None) -> Session:
        """The session of this press, its settings those of the form."""
        settings, id = settings_of(self._p), str(self._options.session or "").strip()
        try:
            session = self._board.store.open(id) if id else None
        except NotFoundError:
            if new is None:
                raise
            session = None
        if session is None:
            return self._board.store.open(self._begin({**(new or {}), "id": id or None}, settings))
        known = session.state().settings
        if changes := {name: value for name, value in settings.items() if known.get(name, "") != value}:
            self._board.change_settings(session.id, changes)
        return session

    def _begin(self, new: dict[str, Any], settings: dict[str, Any]) -> str:
        """A new session: as many candidates as the form would draw, by its seed, unless it is said otherwise."""
        count = int(self._p.n_iter) * int(self._p.batch_size)
        given = {"batch": count} if count >= SMALLEST_BATCH else {}
        if int(self._p.seed) >= 0:
            given["seed"] = int(self._p.seed)
        said = {name: value for name, value in new.items() if value is not None}
        return str(self._board.create({**given, **said, "settings": settings})["id"])

    def _work(self, do: str, body: dict[str, Any], session: Session, host: PressedHost, task: Task) -> str:
        state = session.ask()
        asked = state.asked
        watch: dict[str, Callable[..., Any]] = {"report": self._reporter(task), "cancelled": _stopper(task)}
        if do == "draw" and asked is not None and not asked.is_shortlisted:
            do, body = "mixed", {"draw": len(asked.candidates), "scorer": asked.scorer}
        if do == "mixed":
            count = whole("draw", body.get("draw", 32), SMALLEST_BATCH, 64)
            self._expect(host.jobs(count))
            return run_mixed(session, host, count, str(body.get("scorer") or host.scorers()[0].name), **watch)
        if do == "auto":
            plan = Plan.read(body, other_scorer(host, str(body.get("scorer"))))
            if asked is not None and not asked.is_shortlisted:
                session.ask(anew=True)
            self._expect(plan.rounds * host.jobs(state.optimizer["batch"]))
            return run_rounds(session, host, plan, **watch)
        if do == "finish":
            self._expect(1)
            return finish_best(session, host, read_final(state, body, host.final_strength), **watch)
        missing = len(state.missing())
        self._expect(host.jobs(missing))
        draw_missing(session, host, **watch)
        return "" if missing else f"The pictures of round {state.round} are all there. Rank them and press Next."

    def _expect(self, jobs: int) -> None:
        """Tell the host's progress bar how much there is to do."""
        shared.state.job_count = max(1, jobs)

    def _reporter(self, task: Task) -> Callable[[str, float, str | None], None]:
        """To the board, and below the host's progress bar. The host counts batches; a round may need fewer of them
        than was expected, for the best so far is there already, so the count follows the share that is done."""

        def report(text: str, done: float, preview: str | None = None) -> None:
            task.report(text, done, preview)
            state = shared.state
            state.textinfo = text[:1].upper() + text[1:]
            if task.kind == "auto" and 0 < done < 1 and not state.processing_has_refined_job_count:
                state.job_count = max(state.job_no + 1, round(state.job_no / done))

        return report

    def _show(self, do: str, session: Session, host: PressedHost, note: str) -> Any:
        """The gallery: the round as the board shows it, or the best."""
        p, state = self._p, session.state()
        for words in (note, warning_of(state)):
            if words:
                p.comment(f"HPS: {words}")
        kept = [host.final] if do == "finish" and host.final else self._pictures(do, session, state, host)
        result = processed_of(p, Shown(kept, host.additions, draws_labels=False))
        result.extra_generation_params |= {SESSION_KEY: session.id}
        return result

    def _pictures(self, do: str, session: Session, state: State, host: PressedHost) -> list[Picture]:
        best = [state.best] if state.best else []
        recipes = best if do in ("auto", "finish") else _shown(state)
        kept = []
        for recipe in dict.fromkeys(recipes):
            drawn = state.any_picture(recipe)
            if recipe in host.drawn:
                kept.append(host.drawn[recipe])
            elif drawn is not None:
                kept.append(self._earlier(session.picture(drawn.file), state))
        return kept

    def _earlier(self, path: Any, state: State) -> Picture:
        """A picture of an earlier press, out of the session."""
        with Image.open(path) as opened:
            image = opened.convert("RGB")
        infotext = read_infotext(path)
        image.info["parameters"] = infotext
        settings, seed = state.settings, state.optimizer["seed"]
        return Picture(
            image, infotext, settings["prompt"], settings["negative"], seed, int(self._p.subseed), self._p, 0
        )


def _shown(state: State) -> list[str]:
    asked = state.asked
    return [asked.candidates[index].recipe.format() for index in asked.shown] if asked else []


def _stopper(task: Task) -> Callable[[], bool]:
    return lambda: task.cancelled.is_set() or features.should_stop()


def draw_recipes(p: Any, options: RankOptions) -> Any:
    """The mode "Recipe": the pictures of pasted recipes, with everything else as the form has it.

    Raises:
        HpsError: no recipe, or the host did not take it.
    """
    wishes = wishes_of(p, options.read_recipes(), options.read_origin())
    size = batch_size(p) if len(wishes) > 1 else 1
    shared.state.job_count = -(-len(wishes) // size)
    kept: list[Picture] = []
    additions: list[Image.Image] = []
    with features.own_settings(p):
        for start in range(0, len(wishes), size):
            if features.should_stop():
                break
            made = draw_batch(p, wishes[start : start + size])
            kept += made.pictures.values()
            additions += made.additions
        if not kept and not features.should_stop():
            raise HpsError("The WebUI gave no picture.")
        return processed_of(p, Shown(kept, additions, draws_labels=False))
