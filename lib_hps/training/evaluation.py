"""How often a scorer agrees with people: top-1 and pairwise accuracy with intervals, on any choices."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lib_hps.ranking import Ranking
from lib_hps.scoring.scorer import Scorer
from lib_hps.training.choice_task import TrainingChoice

_RESAMPLES = 2000
Interval = tuple[float, float]


@dataclass(frozen=True)
class Measured:
    """A scorer's accuracy.

    Attributes:
        choices: that it was measured on.
        top_1: share of choices whose highest score is a candidate that nobody beats; equal scores share.
        pairwise: share of (better, worse) pairs that it orders so; equal scores count half.
        top_1_interval: 95 %, bootstrap over prompts.
        pairwise_interval: likewise.
    """

    scorer: str
    choices: int
    top_1: float
    top_1_interval: Interval
    pairwise: float
    pairwise_interval: Interval


def score_choices(scorer: Scorer, choices: Sequence[TrainingChoice]) -> list[np.ndarray]:
    """The scores (n,) of each choice's candidates; under a launcher each process scores its share and all get all.

    Raises:
        InputError: a picture cannot be read.
    """
    world, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    mine = list(choices[rank::world])
    images = [image for choice in mine for image in choice.images]
    prompts = [choice.prompt for choice in mine for _ in choice.images]
    flat = scorer.score(images, prompts if scorer.needs_prompt else None) if mine else np.zeros(0, np.float32)
    ends = np.cumsum([len(choice.images) for choice in mine])[:-1]
    found = [(rank + world * at, part) for at, part in enumerate(np.split(flat, ends) if mine else [])]
    if world > 1:
        from accelerate.utils import gather_object

        found = gather_object(found)
    return [part for _, part in sorted(found, key=lambda pair: pair[0])]


def measure(name: str, scores: Sequence[np.ndarray], choices: Sequence[TrainingChoice], *, seed: int = 0) -> Measured:
    """Accuracies from scores."""
    rankings = [choice.ranking for choice in choices]
    top = np.array([_top_1(part, ranking) for part, ranking in zip(scores, rankings, strict=True)])
    pairs = np.array([_pairs(part, ranking) for part, ranking in zip(scores, rankings, strict=True)])  # right, all
    return _measured(name, top, pairs, [choice.prompt for choice in choices], seed)


def chance(choices: Sequence[TrainingChoice]) -> Measured:
    """What guessing gets."""
    top = np.array([len(choice.ranking.best()) / choice.ranking.count for choice in choices])
    pairs = np.array([(len(c.ranking.edges) / 2, len(c.ranking.edges)) for c in choices])
    return _measured("chance", top, pairs, [choice.prompt for choice in choices], 0)


def _measured(name: str, top: np.ndarray, pairs: np.ndarray, prompts: Sequence[str], seed: int) -> Measured:
    of = {prompt: number for number, prompt in enumerate(dict.fromkeys(prompts))}
    group = np.array([of[prompt] for prompt in prompts])
    sums = np.stack(
        [np.bincount(group, values, len(of)) for values in (top, np.ones_like(top), pairs[:, 0], pairs[:, 1])]
    )
    drawn = np.random.default_rng(seed).integers(len(of), size=(_RESAMPLES, len(of)))
    right, count, won, edges = sums[:, drawn].sum(axis=-1)  # each (resamples,)
    low_high = [2.5, 97.5]
    first, second = np.percentile(right / count, low_high), np.percentile(won / edges, low_high)
    return Measured(
        name,
        len(top),
        float(top.mean()),
        (float(first[0]), float(first[1])),
        float(pairs[:, 0].sum() / pairs[:, 1].sum()),
        (float(second[0]), float(second[1])),
    )


def _top_1(scores: np.ndarray, ranking: Ranking) -> float:
    highest = np.flatnonzero(scores == scores.max())
    return float(np.isin(highest, ranking.best()).mean())


def _pairs(scores: np.ndarray, ranking: Ranking) -> tuple[float, float]:
    better, worse = (np.array(side) for side in zip(*ranking.edges, strict=True))
    gap = scores[better] - scores[worse]
    return float((gap > 0).sum() + 0.5 * (gap == 0).sum()), float(len(gap))


def table(rows: Sequence[Measured]) -> str:
    """As Markdown, best first."""
    lines = ["| scorer | choices | top-1 (95 %) | pairs (95 %) |", "|---|---|---|---|"]
    for row in sorted(rows, key=lambda each: -each.top_1):
        lines.append(f"| {row.scorer} | {row.choices} | {cell(row.top_1, row.top_1_interval)} | "
                     f"{cell(row.pairwise, row.pairwise_interval)} |")  # fmt: skip
    return "\n".join(lines)


def cell(value: float, interval: Interval) -> str:
    """48.6 % (44.1 to 53.0)."""
    return f"{100 * value:.1f} % ({100 * interval[0]:.1f} to {100 * interval[1]:.1f})"
