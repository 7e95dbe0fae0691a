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
    asked = session.ask().asked
    is_same = asked is not None and asked.scorer == scorer and len(asked.candidates) == count
    if not is_same or asked is None or asked.is_shortlisted:
        session.ask(count=count, scorer=scorer)
    try:
        draw_missing(session, host, report=report, cancelled=cancelled)
        if cancelled():
            raise Cancelled("Stopped; the pictures that were finished are kept.")
    except Cancelled:
        session.ask(anew=True)
        raise
    state = session.state()
    _, files = pictures_of(session, state)
    keep = min(state.optimizer["batch"], len(files))
    session.shortlist(state.round, judge.score(files), keep)
    return f"{scorer} shows its best {keep} of {len(files)}."
