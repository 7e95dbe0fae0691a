"""Learning rates over a run."""

from __future__ import annotations

import math
from typing import Literal

Schedule = Literal["constant", "cosine", "linear"]


def learning_rate_factor(step: int, *, steps: int, warmup: int, schedule: Schedule) -> float:
    """What the learning rate of step `step` (from 0) is multiplied with: a linear warm-up, then the schedule to 0."""
    if step < warmup:
        return (step + 1) / warmup
    if schedule == "constant":
        return 1.0
    done = (step - warmup) / max(1, steps - warmup)
    return 0.5 * (1 + math.cos(math.pi * done)) if schedule == "cosine" else 1 - done
