"""What a comparison says in numbers: gains over the base with intervals, and votes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lib_hps.preferences.choices import read_choices
from lib_hps.training.comparing.arms import BASE
from lib_hps.training.comparing.run import Cell

_DRAWS = 10_000
_FEWEST = 10  # prompts for an interval


@dataclass(frozen=True)
class Gain:
    """A judge's mean of arm minus base on the same prompts and seeds.

    Attributes:
        low: of the 95 % interval; None for fewer than ten prompts.
        high: of it.
        wins: share of pictures that score above the base's.
    """

    judge: str
    arm: str
    mean: float
    low: float | None
    high: float | None
    wins: float

    @property
    def interval(self) -> str:
        """In words."""
        if self.low is None or self.high is None:
            return f"no interval under {_FEWEST} prompts"
        return f"{self.low:+.4f} to {self.high:+.4f}"


def gains(cells: Sequence[Cell], *, seed: int = 0) -> list[Gain]:
    """Of every arm but the base, by every judge; the interval is a bootstrap over prompts (percentiles)."""
    found = []
    prompts = sorted({cell.prompt for cell in cells})
    chance = np.random.default_rng(seed)
    drawn = chance.integers(len(prompts), size=(_DRAWS, len(prompts)))
    for judge in cells[0].scores:
        for arm in (name for name in cells[0].files if name != BASE):
            differences = [(cell.prompt, cell.scores[judge][arm] - cell.scores[judge][BASE]) for cell in cells]
            means = np.array([np.mean([gap for prompt, gap in differences if prompt == one]) for one in prompts])
            low, high = np.percentile(means[drawn].mean(axis=1), (2.5, 97.5)).tolist()
            if len(prompts) < _FEWEST:
                low = high = None
            wins = float(np.mean([gap > 0 for _, gap in differences]))
            found.append(Gain(judge, arm, float(means.mean()), low, high, wins))
    return found


@dataclass(frozen=True)
class Votes:
    """Blind answers about two arms.

    Attributes:
        first: an arm.
        second: another.
        won: times that `first` was called better than `second`.
        lost: the other way round.
        ties: answers that put none above the other.
    """

    first: str
    second: str
    won: int
    lost: int
    ties: int


def votes(cells: Sequence[Cell], choices: Path) -> list[Votes]:
    """What the choices say of every two arms; a picture is known by its content.

    Raises:
        StorageError: the choices cannot be read.
    """
    of = {hashlib.sha256(file.read_bytes()).hexdigest(): arm for cell in cells for arm, file in cell.files.items()}
    arms = list(cells[0].files)
    count = {(a, b): 0 for a in arms for b in arms}
    met = dict.fromkeys(count, 0)
    for row in read_choices(choices):
        shown = [of.get(Path(name).stem) for name in row["file_path"]]
        for place, a in enumerate(shown):
            for other, b in enumerate(shown):
                if a is not None and b is not None and place < other:
                    met[a, b] += 1
                    met[b, a] += 1
        for better, worse in row.get("edges", ()):
            if shown[better] is not None and shown[worse] is not None:
                count[shown[better], shown[worse]] += 1
    pairs = [(a, b) for place, a in enumerate(arms) for b in arms[place + 1 :] if met[a, b]]
    # the later arm first: "adapted against base" is what is asked
    return [Votes(b, a, count[b, a], count[a, b], met[a, b] - count[a, b] - count[b, a]) for a, b in pairs]
