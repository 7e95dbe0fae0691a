"""Choices of a rater who likes warm pictures, recorded as the board records them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from lib_hps.preferences import choices as recorded
from lib_hps.ranking import Ranking

THINGS = ["red heart", "cat face", "sun", "rocket", "pizza", "umbrella", "frog", "balloon", "fox", "guitar"]


def record_warm_choices(made: Path, folder: Path, count: int = 90) -> Path:
    """Three pictures of noise in a tint, written to `made`; warm ones are preferred."""
    rng = np.random.default_rng(0)
    for number in range(count):
        warmth, files = rng.permutation([-40, 0, 40]), []
        for place, warm in enumerate(warmth):
            levels = rng.integers(60, 190, (8, 8, 3)).repeat(8, 0).repeat(8, 1) + np.array([warm, 0, -warm])
            files.append(made / f"{number}-{place}.png")
            Image.fromarray(levels.clip(0, 255).astype(np.uint8)).save(files[-1])
        ranking = Ranking.from_scores(warmth.tolist())
        prompt = f"{THINGS[number % 10]}, {number // 10} style"
        answer = recorded.Choice(
            f"c{number}", prompt, files, ranking.edges, int(warmth.argmax()), time="2026-01-01T00:00:00Z"
        )
        recorded.record(folder, answer)
    return folder
