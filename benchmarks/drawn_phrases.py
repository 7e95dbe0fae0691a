"""The phrases that the text tower of `drawn_clip` learns, each with the place where pictures of it lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from tools.tiny_models.augment import BACKGROUNDS
from tools.tiny_models.emoji import STYLES, Emoji


@dataclass(frozen=True)
class Places:
    """Directions of length 1 in the space of the pictures' embeddings, and how sharply pictures differ in them.

    Attributes:
        things, styles, grounds: (N, E), (3, E) and (9, E).
        scale: (), what cosines are multiplied with before a softmax.
    """

    things: torch.Tensor
    styles: torch.Tensor
    grounds: torch.Tensor
    scale: torch.Tensor


class Phrases:
    """Names and keywords alone, styles and backgrounds alone, and whole prompts.

    A prompt lies where the log-likelihoods of its parts together are highest, at the mean of their directions; one of
    several parts that says no background means a white one, as the captions of tiny-hps do.
    """

    def __init__(self, emoji: Sequence[Emoji], places: Places) -> None:
        self._places = places
        self._named = [(each.name, places.things[row]) for row, each in enumerate(emoji)]
        rows: dict[str, list[int]] = {}
        for row, each in enumerate(emoji):
            for word in each.keywords:
                rows.setdefault(word, []).append(row)
        self._meant = [(word, F.normalize(places.things[rows[word]].mean(dim=0), dim=0)) for word in sorted(rows)]

    def batch(self, count: int, generator: torch.Generator) -> tuple[list[str], torch.Tensor]:
        """`count` phrases, and their places (count, E)."""
        drawn = [self._one(generator) for _ in range(count)]
        return [text for text, _ in drawn], torch.stack([place for _, place in drawn])

    def _one(self, generator: torch.Generator) -> tuple[str, torch.Tensor]:
        def chance(p: float) -> bool:
            return bool(torch.rand((), generator=generator) < p)

        def number_below(count: int) -> int:
            return int(torch.randint(count, (), generator=generator))

        places, grounds = self._places, list(BACKGROUNDS)
        if chance(0.05):
            style = number_below(len(STYLES))
            return f"{STYLES[style]} style", places.styles[style]
        if chance(0.05):
            ground = number_below(len(grounds))
            return f"{grounds[ground]} background", places.grounds[ground]
        known = self._meant if chance(0.15) else self._named
        text, place = known[number_below(len(known))]
        if chance(0.3):
            text = ("an " if text[0] in "aeiou" else "a ") + text
        if chance(0.5):
            return text, place
        if chance(0.8):
            style = number_below(len(STYLES))
            text += f", {STYLES[style]} style"
            place = place + places.styles[style]
        ground = number_below(len(grounds)) if chance(0.6) else 0
        if ground:
            text += f", {grounds[ground]} background"
        return text, F.normalize(place + places.grounds[ground], dim=0)
