"""Is it still getting better, and for whom? Plateaus of the optimised score, and a held-out scorer that disagrees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lib_hps.scoring.ensemble import PREFIX
from lib_hps.session import Answer, State

_LEAST_GAIN = 1e-6  # relative: below it, scores differ by rounding
_FELL_BY = 0.25  # deviations of the first round's pictures


def is_plateau(scores: Sequence[float], patience: int) -> bool:
    """Whether the last `patience` rounds brought no gain over the rounds before them.

    Args:
        scores: of the incumbent after each round.
        patience: rounds to wait.
    """
    if len(scores) <= patience:
        return False
    before, since = max(scores[:-patience]), max(scores[-patience:])
    return since <= before + _LEAST_GAIN * max(1.0, abs(before))


def scored_run(answers: Sequence[Answer]) -> list[Answer]:
    """The last answers in a row that have both scores, of the same two scorers."""
    run: list[Answer] = []
    for answer in reversed(answers):
        is_same = not run or (answer.by, answer.holdout_by) == (run[-1].by, run[-1].holdout_by)
        if answer.score is None or answer.holdout is None or not is_same:
            break
        run.append(answer)
    return run[::-1]


def warning_of(state: State) -> str | None:
    """Words where the held-out scorer fell from its best while the optimised one went on rising."""
    run = scored_run(state.answers)
    if len(run) < 2:
        return None
    spread = state.references.get(reference_name(run[-1].holdout_by or "", state.key), {}).get("deviation", [0.0])[0]
    peak = max(run, key=lambda answer: answer.holdout or 0.0)
    last = run[-1]
    rose = (last.score or 0.0) > (peak.score or 0.0)
    fell = (peak.holdout or 0.0) - (last.holdout or 0.0)
    if not rose or fell <= _FELL_BY * spread or fell <= 0:
        return None
    return (
        f"Since round {peak.asked.round} {last.holdout_by} (held out) fell from {peak.holdout:.3f} to "
        f"{last.holdout:.3f} while {last.by} rose from {peak.score:.3f} to {last.score:.3f}: the pictures may be "
        "drifting towards that scorer's mistakes. Look at the pictures of both rounds."
    )


def reference_name(scorer: str, key: str) -> str:
    """Under which name the state keeps mean and deviation of a scorer's first round, under these settings."""
    return f"{scorer} {key}"


@dataclass(frozen=True)
class Point:
    """A round of the gain curve: the incumbent's scores in deviations of the first round's pictures, from their mean.

    Attributes:
        gain: by the scorer that answered; None where a person did.
        holdout: by the held-out scorer, None without one.
    """

    round: int
    gain: float | None
    holdout: float | None


def gain_curve(state: State) -> list[Point]:
    """One point for each answered round."""
    return [
        Point(
            place,
            _in_deviations(state, answer.by, answer.score),
            _in_deviations(state, answer.holdout_by or "", answer.holdout),
        )
        for place, answer in enumerate(state.answers, 1)
    ]


def _in_deviations(state: State, scorer: str, score: float | None) -> float | None:
    """An ensemble's scores are in deviations already."""
    reference = state.references.get(reference_name(scorer, state.key))
    if score is None or reference is None:
        return score
    if scorer.startswith(PREFIX):
        return score
    return (score - reference["mean"][0]) / (reference["deviation"][0] or 1.0)
