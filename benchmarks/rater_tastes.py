"""Simulated raters with known tastes, and the choices they make.

A rater picks the candidate whose utility plus noise is highest. The noise is Gumbel (the softmax of the paper's loss),
as wide as makes 15 % of the picks another picture than the rater's own favourite: people, too, disagree most about what
is nearly equal.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.rater_pictures import Group, Said, Seen, Shown
from lib_hps.ranking import Ranking

NOISE = 0.15
CANDIDATES = 4
DRAWS = 6_000  # from which a rater's noise is found
Taste = Callable[[np.ndarray, Seen, Said], float]
"""Levels (H, W, 3), what the picture shows and what was asked for -> utility."""


def warmth(pixels: np.ndarray, seen: Seen, wanted: Said) -> float:
    """Red minus blue, mean over the picture; levels."""
    return float(pixels[..., 0].mean() - pixels[..., 2].mean())


def sharpness(pixels: np.ndarray, seen: Seen, wanted: Said) -> float:
    """Logarithm of the mean absolute Laplacian of the grey levels."""
    grey = pixels.mean(axis=-1)
    centre = 4 * grey[1:-1, 1:-1]
    laplacian = centre - grey[:-2, 1:-1] - grey[2:, 1:-1] - grey[1:-1, :-2] - grey[1:-1, 2:]
    return float(np.log(np.abs(laplacian).mean() + 0.1))


def roundness(pixels: np.ndarray, seen: Seen, wanted: Said) -> float:
    """How far the thing shown is a disc: overlap (intersection over union) with the disc of its area at its centre."""
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    mask = np.abs(pixels - np.median(border, axis=0)).max(axis=-1) > 24
    if not mask.any():
        return 0.0
    rows, columns = np.nonzero(mask)
    y, x = np.mgrid[: mask.shape[0], : mask.shape[1]]
    disc = (y - rows.mean()) ** 2 + (x - columns.mean()) ** 2 <= mask.sum() / np.pi
    return float((mask & disc).sum() / (mask | disc).sum())


def fit(pixels: np.ndarray, seen: Seen, wanted: Said) -> float:
    """What the picture shows against what the prompt asks for: the thing counts twice."""
    return 2 * seen.concept + seen.styles[wanted.style] + (seen.background == wanted.background)


def style_over(liked: str, disliked: str) -> Taste:
    """One artist over another, whatever was asked for."""

    def style(pixels: np.ndarray, seen: Seen, wanted: Said) -> float:
        return seen.styles[liked] - seen.styles[disliked]

    return style


TASTES: dict[str, Taste] = {
    "warm colours": warmth,
    "roundness": roundness,
    "sharpness": sharpness,
    "prompt fit": fit,
    "one style": style_over("noto", "twemoji"),
    "3D style": style_over("3d", "noto"),
}


@dataclass(frozen=True)
class Pick:
    """One answer.

    Attributes:
        group: number of the prompt.
        concept: the thing that the prompt asks for.
        candidates: the pictures shown.
        utilities: of the rater, without the noise.
        ranking: what was answered; here one pick.
    """

    group: int
    concept: str
    prompt: str
    candidates: tuple[Shown, ...]
    utilities: tuple[float, ...]
    ranking: Ranking

    def agreement(self, values: Sequence[float]) -> float:
        """Whether the highest of the values is that of the picked picture, as 0 or 1."""
        return float(int(np.argmax(values)) in self.ranking.best())


class Rater:
    """A taste over the groups' pictures.

    Args:
        taste: key of `TASTES`.
        groups: whose utilities are computed once.
        noise: share of the picks that are not the rater's favourite.
    """

    kind = Pick
    chance = 1 / CANDIDATES

    def __init__(self, taste: str, groups: Sequence[Group], *, noise: float = NOISE) -> None:
        judge = TASTES[taste]
        self._groups = groups
        self._utilities = [[judge(pixels_of(shown.file), shown.seen, g.wanted) for shown in g.pictures] for g in groups]
        self._temperature = self._calibrated(noise)

    def picks(self, groups: Sequence[int], count: int, seed: int) -> list[Pick]:
        """`count` answers about random four pictures of random groups, in each of which something is preferred."""
        rng = np.random.default_rng(seed)
        found: list[Pick] = []
        while len(found) < count:
            number = int(rng.choice(groups))
            places = self._drawn(number, rng)
            if places is None:
                continue
            utilities = np.array([self._utilities[number][place] for place in places])
            ranking = self._answer(utilities, rng)
            group, known = self._groups[number], tuple(utilities.tolist())
            shown = tuple(group.pictures[place] for place in places)
            if ranking.edges:
                found.append(self.kind(number, group.wanted.concept, group.wanted.prompt, shown, known, ranking))
        return found

    def _answer(self, utilities: np.ndarray, rng: np.random.Generator) -> Ranking:
        chosen = int(np.argmax(utilities + self._temperature * rng.gumbel(size=len(utilities))))
        return Ranking.pick(chosen, len(utilities))

    def _is_worth_asking(self, utilities: Sequence[float]) -> bool:
        """Whether there is a single favourite."""
        highest, second = sorted(utilities, reverse=True)[:2]
        return highest > second

    def _drawn(self, number: int, rng: np.random.Generator) -> list[int] | None:
        places = rng.permutation(len(self._utilities[number]))[:CANDIDATES].tolist()
        return places if self._is_worth_asking([self._utilities[number][place] for place in places]) else None

    def _shown(self, draws: int, rng: np.random.Generator) -> np.ndarray:
        """(at most draws, candidates): utilities of what might be shown."""
        drawn = [(n, self._drawn(n, rng)) for n in rng.integers(len(self._groups), size=draws)]
        return np.array([[self._utilities[n][p] for p in places] for n, places in drawn if places is not None])

    def _calibrated(self, noise: float) -> float:
        """The Gumbel temperature at which so many picks miss the favourite."""
        rng = np.random.default_rng(0)
        return gumbel_width(self._shown(DRAWS, rng), noise, rng)


def gumbel_width(values: np.ndarray, noise: float, rng: np.random.Generator) -> float:
    """The width of Gumbel noise on utilities (N, candidates) at which that share of the picks miss the favourite."""
    gumbel = rng.gumbel(size=values.shape)

    def missed(width: float) -> float:
        return float(((values + width * gumbel).argmax(axis=1) != values.argmax(axis=1)).mean())

    return width_for(missed, noise, 100 * float(values.std()))


def width_for(share: Callable[[float], float], wanted: float, most: float, *, rounds: int = 60) -> float:
    """Where between 0 and `most` a share that grows with the width is `wanted`, by bisection."""
    low, high = 0.0, most
    for _ in range(rounds):
        middle = (low + high) / 2
        low, high = (middle, high) if share(middle) < wanted else (low, middle)
    return low


def pixels_of(picture: Path | Image.Image) -> np.ndarray:
    """(H, W, 3) levels."""
    image = picture if isinstance(picture, Image.Image) else Image.open(picture)
    return np.asarray(image.convert("RGB"), dtype=np.float64)
