"""A mixed round: a scorer looks at many, a person at its best few."""

from __future__ import annotations

from collections.abc import Callable

from lib_hps.board.auto import pictures_of
from lib_hps.board.drawing import Report, draw_missing
from lib_hps.board.host import Host
from lib_hps.board.judges import Judge
from lib_hps.errors import Cancelled
from lib_hps.session import Session


def run_mixed(
    session: Session, host: Host, count: int, scorer: str, *, report: Report, cancelled: Callable[[], bool]
) -> str:
    """Draw `count` candidates of the present round and shortlist the scorer's best; goes on where it was left.

    Returns:
        What came of it, in words.

    Raises:
        Cancelled: after `cancelled()`; the round is an ordinary one again, the pictures are kept.
        InputError: no such scorer.
        HpsError: as the host's and the scorer's.
    """
    judge = Judge(host, session, scorer)
    begin_mixed(session, count, scorer)
    try:
        draw_missing(session, host, report=report, cancelled=cancelled)
        if cancelled():
            raise Cancelled("Stopped; the pictures that were finished are kept.")
    except Cancelled:
        session.ask(anew=True)
        raise
    return show_best(session, judge)


def begin_mixed(session: Session, count: int, scorer: str) -> None:
    """Ask for many candidates; those that are there already stay where the same was asked before.

    Raises:
        InputError: a count out of range, or an optimiser that cannot have mixed rounds.
    """
    asked = session.ask().asked
    is_same = asked is not None and asked.scorer == scorer and len(asked.candidates) == count
    if not is_same or asked is None or asked.is_shortlisted:
        session.ask(count=count, scorer=scorer)


def show_best(session: Session, judge: Judge) -> str:
    """Score the drawn candidates and shortlist the best; gives what came of it, in words.

    Raises:
        InputError: a picture is missing.
        HpsError: as the scorer's.
    """
    state = session.state()
    _, files = pictures_of(session, state)
    keep = min(state.optimizer["batch"], len(files))
    session.shortlist(state.round, judge.score(files), keep)
    return f"{judge.name} shows its best {keep} of {len(files)}."
