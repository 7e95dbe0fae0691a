"""Several scorers with weights: `ensemble:hps-v2.1=1,pickscore=0.5`.

Scores of different scorers cannot be added as they are: each member is standardised over the pictures of one prompt
(mean 0, deviation 1), then the weighted sum is taken. A prompt's only picture gets 0, for there is nothing to compare.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from lib_hps.errors import InputError

from .inputs import Images, Prompts, check_images, check_prompts
from .registry import Scale
from .scorer import Scored, Scorer

if TYPE_CHECKING:
    import torch

PREFIX = "ensemble:"


def parse_ensemble(name: str) -> list[tuple[str, float]]:
    """`ensemble:<a>=<weight>,<b>=<weight>` -> [(a, weight), (b, weight)].

    Raises:
        InputError: a part without name or weight, a weight that is no number or zero, a name twice; names the part.
    """
    parts = [part.strip() for part in name.removeprefix(PREFIX).split(",")]
    members: list[tuple[str, float]] = []
    for part in parts:
        member, equals, text = part.rpartition("=")
        member = member.strip()
        if not equals or not member:
            raise InputError(f"{part!r} in {name!r} is not <scorer>=<weight>, such as hps-v2.1=1.")
        if member.startswith(PREFIX):
            raise InputError(f"{part!r} in {name!r} is an ensemble itself. List its members instead.")
        try:
            weight = float(text)
        except ValueError:
            raise InputError(f"The weight {text!r} of {member!r} in {name!r} is not a number.") from None
        if not math.isfinite(weight) or weight == 0:
            raise InputError(f"The weight {text!r} of {member!r} in {name!r} must be finite and not zero.")
        if member in (seen for seen, _ in members):
            raise InputError(f"{member!r} is in {name!r} twice. Add up its weights.")
        members.append((member, weight))
    return members


def standardise(scores: np.ndarray, groups: Sequence[object]) -> np.ndarray:
    """(N,) scores to mean 0 and deviation 1 within each group; NaN stays NaN, and a group without spread becomes 0."""
    result = np.full(len(scores), np.nan)
    rows_of: dict[object, list[int]] = {}
    for row, group in enumerate(groups):
        if not math.isnan(scores[row]):
            rows_of.setdefault(group, []).append(row)
    for rows in rows_of.values():
        values = np.asarray(scores, dtype=np.float64)[rows]
        centred, spread = values - values.mean(), values.std()
        # Equal scores differ by rounding; do not blow that up to a deviation of one.
        flat = spread <= 1e-6 * max(1e-3, float(np.abs(values).max()))
        result[rows] = 0.0 if flat else centred / spread
    return result


class EnsembleScorer(Scorer):
    """The weighted sum of standardised members."""

    scale: Scale = "standardised"

    def __init__(self, name: str, members: Sequence[tuple[Scorer, float]]) -> None:
        self.name = name
        self.version = "+".join(member.version for member, _ in members)
        self.needs_prompt = any(member.needs_prompt for member, _ in members)
        self._members = list(members)

    def iter_scores(self, images: Images, prompts: Prompts = None) -> Iterator[Scored]:
        """See `Scorer.iter_scores`; nothing comes before the last picture was seen: each is judged among the rest."""
        sources = check_images(images)
        check_prompts(prompts, len(sources), are_needed=self.needs_prompt)
        groups = [prompts] * len(sources) if prompts is None or isinstance(prompts, str) else list(prompts)
        total = np.zeros(len(sources))
        errors: dict[int, InputError] = {}
        for member, weight in self._members:
            scores = np.full(len(sources), np.nan)
            for scored in member.iter_scores(sources, prompts):
                if scored.error is not None:
                    errors.setdefault(scored.index, scored.error)
                else:
                    scores[scored.index] = scored.score
            total += weight * standardise(scores, groups)
        return iter([Scored(i, None if i in errors else float(total[i]), errors.get(i)) for i in range(len(sources))])

    def to(self, device: str | torch.device) -> EnsembleScorer:
        """See `Scorer.to`."""
        for member, _ in self._members:
            member.to(device)
        return self

    def unload(self, *, drop: bool = False) -> None:
        """See `Scorer.unload`."""
        for member, _ in self._members:
            member.unload(drop=drop)
