"""A session's state as the panel and other clients see it: JSON. The optimiser's order never leaves the server."""

from __future__ import annotations

from typing import Any

from lib_hps.board.tasks import Task
from lib_hps.board.trends import Point, gain_curve, warning_of
from lib_hps.errors import NotFoundError
from lib_hps.session import Answer, Asked, Drawn, Final, Listed, Session, State
from lib_hps.session.pictures import read_infotext

PREFIX = "/hps/v1"


def picture_url(session: str, file: str) -> str:
    """Where a picture or thumbnail is served."""
    return f"{PREFIX}/sessions/{session}/pictures/{file}"


def listed_view(line: Listed) -> dict[str, Any]:
    """A line of the list."""
    return {
        "id": line.id,
        "name": line.name,
        "created": line.created,
        "updated": line.updated,
        "rounds": line.rounds,
        "thumb": picture_url(line.id, line.thumb) if line.thumb else None,
        "problem": line.problem,
    }


def state_view(session: Session, state: State, task: Task | None) -> dict[str, Any]:
    """The state object of the API."""
    running = task if task is not None and not task.finished.is_set() else None
    return {
        "id": state.id,
        "name": state.name,
        "created": state.created,
        "updated": state.updated,
        "version": state.version,
        "settings": state.settings,
        "optimizer": state.optimizer,
        "origin": state.origin,
        "round": state.round,
        "status": _status(state, running),
        "task": running.kind if running else None,
        "progress": _progress(state, running) if running else None,
        "candidates": _candidates(state),
        "ranking": _draft(state.asked),
        "best": _best(state),
        "history": [
            _answer(state.id, point, answer) for point, answer in zip(gain_curve(state), state.answers, strict=True)
        ],
        "drawn": len(state.pictures),
        "change": "; ".join(state.changes) or None,
        "warning": warning_of(state),
        "note": task.note or None if task else None,
        "error": task.error if task else None,
        "finals": [_final(session, final) for final in state.finals],
    }


def _final(session: Session, final: Final) -> dict[str, Any]:
    try:
        infotext = read_infotext(session.picture(final.file))
    except (NotFoundError, OSError):
        infotext = ""  # the file was removed by hand
    return {
        "picture": picture_url(session.id, final.file),
        "thumb": picture_url(session.id, final.thumb),
        "width": final.width,
        "height": final.height,
        "recipe": final.recipe,
        "infotext": infotext,
    }


def _status(state: State, running: Task | None) -> str:
    if running is not None:
        return "drawing"
    if state.finals and state.finals[-1].answers == len(state.answers) and not state.changes:
        return "finished"
    is_ready = state.asked is not None and state.asked.is_shortlisted and not state.missing()
    return "ready" if is_ready else "new"


def _progress(state: State, task: Task) -> dict[str, Any]:
    preview = picture_url(state.id, task.preview) if task.preview else None
    return {"text": task.text, "done": round(task.done, 4), "eta_s": task.eta_s, "preview": preview}


def _candidates(state: State) -> list[dict[str, Any]]:
    asked = state.asked
    if asked is None or not asked.is_shortlisted:
        return []
    found = []
    for number, index in enumerate(asked.shown, 1):
        candidate = asked.candidates[index]
        recipe = candidate.recipe.format()
        found.append(
            {
                "number": number,
                **_urls(state.id, state.picture(recipe)),
                "is_incumbent": state.best == recipe,
                "score": round(asked.scores[index], 6) if asked.scores else None,
                "recipe": recipe,
            }
        )
    return found


def _draft(asked: Asked | None) -> list[list[int]] | None:
    if asked is None or asked.scores is None or not asked.is_shortlisted:
        return None
    from lib_hps.board.answers import tiers_of

    return tiers_of(asked, asked.scores)


def _best(state: State) -> dict[str, Any] | None:
    if not state.answers:
        return None
    last = state.answers[-1]
    since = next(place for place, answer in enumerate(state.answers, 1) if answer.best == last.best)
    return {
        **_urls(state.id, state.any_picture(last.best)),
        "recipe": last.best,
        "round": since,
        "score": last.score,
        "is_current": state.picture(last.best) is not None,
    }


def _answer(session: str, point: Point, answer: Answer) -> dict[str, Any]:
    return {
        "round": point.round,
        **_urls(session, answer.picture),
        "order": None if answer.order is None else [list(tier) for tier in answer.order],
        "by": answer.by,
        "score": answer.score,
        "holdout": answer.holdout,
        "gain": _rounded(point.gain),
        "holdout_gain": _rounded(point.holdout),
        "holdout_by": answer.holdout_by,
        "change": answer.change,
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _urls(session: str, drawn: Drawn | None) -> dict[str, str | None]:
    return {
        "picture": picture_url(session, drawn.file) if drawn else None,
        "thumb": picture_url(session, drawn.thumb) if drawn else None,
    }
