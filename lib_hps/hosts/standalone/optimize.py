"""`hps optimize`: rounds by a scorer without a browser, with a session, the best picture and a report on the disk."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lib_hps.board.auto import Plan, run_rounds
from lib_hps.board.drawing import Report
from lib_hps.board.report import write_report
from lib_hps.errors import Cancelled, StorageError

if TYPE_CHECKING:
    from lib_hps.board.host import Host
    from lib_hps.session import Session


@dataclass(frozen=True)
class Outcome:
    """What a run left on the disk.

    Attributes:
        best: the picture, with its infotext; None where not one round was finished.
        report: the HTML file, None likewise.
        why: why it stopped, in words.
        was_cancelled: by the user.
    """

    session: Path
    best: Path | None
    report: Path | None
    why: str
    was_cancelled: bool


def run_optimize(session: Session, host: Host, plan: Plan, out: Path, *, report: Report) -> Outcome:
    """Run the rounds; Ctrl-C stops them and keeps what there is.

    Raises:
        HpsError: as `run_rounds`.
    """
    was_cancelled = False
    try:
        why = run_rounds(session, host, plan, report=report, cancelled=lambda: False)
    except (KeyboardInterrupt, Cancelled):
        why, was_cancelled = "Stopped; the best so far is kept.", True
    state = session.state()
    drawn = state.any_picture(state.best) if state.best else None
    if drawn is None:
        return Outcome(session.folder, None, None, why, was_cancelled)
    best = out / "best.png"
    try:
        shutil.copyfile(session.picture(drawn.file), best)
    except OSError as error:
        raise StorageError(f"Cannot write {best}: {error.strerror}. The session is in {session.folder}.") from error
    return Outcome(session.folder, best, write_report(out / "report.html", session, note=why), why, was_cancelled)


def plan_of(values: Mapping[str, Any], host: Host) -> Plan:
    """The command line's options as a plan; the held-out scorer is another one that is ready, unless it is "none".

    Raises:
        InputError: a value that cannot be.
    """
    from lib_hps.board.auto import other_scorer

    body = dict(values)
    if body.get("holdout") is None:
        body["holdout"] = other_scorer(host, body["scorer"])
    elif body["holdout"] == "none":
        body["holdout"] = None
    return Plan.read(body)
