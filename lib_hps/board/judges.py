"""Scores that can be compared from round to round, of one scorer or of an ensemble."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from lib_hps.board.host import Host
from lib_hps.board.trends import reference_name
from lib_hps.errors import InputError
from lib_hps.scoring.ensemble import PREFIX, parse_ensemble
from lib_hps.session import Session


class Judge:
    """A scorer, or an ensemble whose members are standardised by the pictures that it saw first in this session.

    An ensemble's own scores are relative to the pictures that are scored together, so those of two rounds could not be
    compared. The first pictures' mean and deviation are kept in the session's log.

    Args:
        host: that scores.
        session: whose pictures are scored.
        name: of a scorer, or `ensemble:<a>=<weight>,<b>=<weight>`.

    Raises:
        InputError: no such scorer, or one that is not available.
    """

    def __init__(self, host: Host, session: Session, name: str) -> None:
        self.name, self._host, self._session = name, host, session
        self._members = parse_ensemble(name) if name.startswith(PREFIX) else [(name, 1.0)]
        known = {line.name: line.is_available for line in host.scorers()}
        for member, _ in self._members:
            if not known.get(member):
                why = "is not available: its weights are missing" if member in known else "is not known"
                ready = ", ".join(name for name, is_ready in known.items() if is_ready)
                raise InputError(f"The scorer {member[:80]!r} {why}. Take one of {ready or 'none, for none is ready'}.")

    def score(self, pictures: Sequence[Path]) -> list[float]:
        """Scores of some pictures of this session, higher is better.

        Raises:
            InputError: a score is not finite.
            HpsError: as the scorer's.
        """
        state = self._session.state()
        prompt = str(state.settings["prompt"])
        rows = [self._host.score(member, pictures, prompt) for member, _ in self._members]
        for (member, _), row in zip(self._members, rows, strict=True):
            if not all(math.isfinite(score) for score in row):
                raise InputError(f"{member} gave a score that is no number. Choose another scorer.")
        name = reference_name(self.name, state.key)
        reference = state.references.get(name)
        if reference is None and len(pictures) > 1:
            reference = {"mean": [_mean(row) for row in rows], "deviation": [_deviation(row) for row in rows]}
            self._session.note({"type": "referenced", "scorer": name, **reference})
        if len(self._members) == 1 or reference is None:
            return [float(score) for score in rows[0]]
        total = [0.0] * len(pictures)
        for (_, weight), row, mean, deviation in zip(
            self._members, rows, reference["mean"], reference["deviation"], strict=True
        ):
            for place, score in enumerate(row):
                total[place] += weight * (score - mean) / (deviation or 1.0)
        return total


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _deviation(values: Sequence[float]) -> float:
    mean = _mean(values)
    return math.sqrt(sum((value - mean) ** 2 for value in values) / len(values))
