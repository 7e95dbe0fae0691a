"""The simulated rater that both scorers learn from: a printed formula, no person.

Of pictures that tiny-sd drew for one prompt: concept / 2 + sharpness + colour, each standardised within the prompt.
Where they are shown with another prompt they are all equally wrong: sharpness + colour. Of versions of a real picture:
the same by usual deviations, or -2.5 x damage where there is any; -3 if it shows something else. The rater then errs:
Gumbel noise, so that an order is a draw of Plackett and Luce's model.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from .judge import Judge
from .loop import device

TEMPERATURE = 0.35
FIT_WEIGHT = 0.5
LEAST_LOG_PROBABILITY = -6.0
STEEP_SHARE = 0.1


@dataclass(frozen=True)
class Standards:
    """What the rater measures a prompt's pictures by: mean and deviation (P, 1) of each part over the prompt."""

    sharpness: tuple[torch.Tensor, torch.Tensor]
    colour: tuple[torch.Tensor, torch.Tensor]

    @classmethod
    def of(cls, images: torch.Tensor) -> Standards:
        """Of pictures (P, K, 3, H, W)."""
        flat, shape = images.flatten(0, 1), images.shape[:2]
        return cls(_mean_and_deviation(sharpness(flat).view(shape)), _mean_and_deviation(colour(flat).view(shape)))

    def rows(self, rows: torch.Tensor) -> Standards:
        """Of some prompts."""
        (a, b), (c, d) = self.sharpness, self.colour
        return Standards((a[rows], b[rows]), (c[rows], d[rows]))


# of pictures that were not drawn for one prompt: the deviations of an average prompt of tiny-sd; only differences count
USUAL = Standards((torch.zeros(1, 1), torch.full((1, 1), 0.1)), (torch.zeros(1, 1), torch.full((1, 1), 8.0)))


def looks(images: torch.Tensor, standards: Standards) -> torch.Tensor:
    """(P, K): sharpness + colour of (P, K, 3, H, W), whatever was asked."""
    flat, shape = images.flatten(0, 1), images.shape[:2]
    pairs = ((sharpness(flat), standards.sharpness), (colour(flat), standards.colour))
    return torch.stack([(part.view(shape) - mean) / deviation for part, (mean, deviation) in pairs]).sum(dim=0)


def fit(judge: Judge, images: torch.Tensor, rows: list[int]) -> torch.Tensor:
    """(P, K): how well (P, K, 3, H, W) show the asked emoji `rows` (P,), standardised within the prompt."""
    asked = torch.tensor(rows).repeat_interleave(images.shape[1])
    read = concept(judge, images.flatten(0, 1), asked).view(images.shape[:2])
    mean, deviation = _mean_and_deviation(read)
    return (read - mean) / deviation


def to_images(pictures: np.ndarray) -> torch.Tensor:
    """uint8 (..., H, W, 3) -> (..., 3, H, W) in -1..1."""
    return torch.from_numpy(pictures).movedim(-1, -3).float() / 127.5 - 1


@torch.no_grad()
def concept(judge: Judge, images: torch.Tensor, asked: torch.Tensor) -> torch.Tensor:
    """(N,) log-probability that the judge gives to the asked emoji among all, at least -6."""
    read = torch.cat([judge(chunk.to(device())).float().log_softmax(dim=1).cpu() for chunk in images.split(64)])
    return read[torch.arange(len(images)), asked].clamp(min=LEAST_LOG_PROBABILITY)


def sharpness(images: torch.Tensor) -> torch.Tensor:
    """(N,) logarithm of the mean slope in the steepest tenth of the picture: how sudden its edges are."""
    down = images[:, :, 1:, :-1] - images[:, :, :-1, :-1]
    right = images[:, :, :-1, 1:] - images[:, :, :-1, :-1]
    slope = (down.square() + right.square()).mean(dim=1).sqrt().flatten(1)  # (N, (H - 1) * (W - 1))
    steepest = slope.topk(int(STEEP_SHARE * slope.shape[1]), dim=1).values
    return steepest.mean(dim=1).clamp(min=1e-4).log()


def colour(images: torch.Tensor) -> torch.Tensor:
    """(N,) colourfulness (Hasler and Süsstrunk, "Measuring colourfulness in natural images", 2003), 0 for grey."""
    red, green, blue = (127.5 * (images + 1)).unbind(dim=1)
    first, second = (red - green).flatten(1), ((red + green) / 2 - blue).flatten(1)
    spread = (first.var(dim=1) + second.var(dim=1)).sqrt()
    return spread + 0.3 * (first.mean(dim=1).square() + second.mean(dim=1).square()).sqrt()


def order(utilities: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """(P, K) best first, by utility + 0.35 x Gumbel noise."""
    chance = torch.rand(utilities.shape, generator=generator).clamp(1e-9, 1 - 1e-9)
    return (utilities - TEMPERATURE * torch.log(-torch.log(chance))).argsort(dim=1, descending=True)


def _mean_and_deviation(values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return values.mean(dim=1, keepdim=True), values.std(dim=1, keepdim=True).clamp(min=1e-6)
