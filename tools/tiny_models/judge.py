"""The judge of tiny-sd: a small convolutional classifier of real emoji, which never sees a generated picture."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from .augment import compose, draw_backgrounds, premultiply
from .emoji import STYLES, Emoji
from .loop import Stage, autocast, device, train

# 50 concepts: what people would try first
CONCEPTS = [
    "red heart",
    "orange heart",
    "yellow heart",
    "green heart",
    "blue heart",
    "purple heart",
    "black heart",
    "red circle",
    "yellow circle",
    "green circle",
    "blue circle",
    "purple circle",
    "cat face",
    "dog face",
    "panda",
    "frog",
    "pig face",
    "fox",
    "penguin",
    "octopus",
    "butterfly",
    "tropical fish",
    "pizza",
    "banana",
    "red apple",
    "green apple",
    "strawberry",
    "watermelon",
    "hamburger",
    "doughnut",
    "carrot",
    "cherries",
    "grinning face",
    "crying face",
    "angry face",
    "smiling face with sunglasses",
    "smiling face with heart-eyes",
    "sleeping face",
    "sun",
    "cloud with rain",
    "snowflake",
    "rainbow",
    "crescent moon",
    "high voltage",
    "rocket",
    "umbrella",
    "light bulb",
    "guitar",
    "balloon",
    "soccer ball",
]
CHOICES = 20
BATCH = 64
_SEED = 7


class Judge(nn.Module):
    """Six convolutions and a linear layer over every emoji's name."""

    def __init__(self, classes: int, width: int = 48) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = [3, width, width, 2 * width, 2 * width, 4 * width, 4 * width]
        for i, (a, b) in enumerate(pairwise(channels)):
            layers += [nn.Conv2d(a, b, 3, stride=2 if i % 2 == 0 else 1, padding=1), nn.GroupNorm(8, b), nn.SiLU()]
        self.body = nn.Sequential(*layers, nn.Dropout(0.3))
        self.pool = nn.AdaptiveAvgPool2d(4)
        self.head = nn.Linear(16 * 4 * width, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        hidden = images
        for layer in self.body[:-1]:
            hidden = layer(hidden)
        return self.head(self.body[-1](self.pool(hidden).flatten(1)))


def train_judge(
    emoji: list[Emoji], pictures: np.ndarray, folder: Path, *, without_style: int | None = None, seed: int = _SEED
) -> Judge:
    """Train on all styles, or leave one out to see how the judge does on pictures of an artist it does not know.

    Another seed makes another judge, which says how far the first one is itself.
    """
    name = "judge" if without_style is None else f"judge-without-{STYLES[without_style]}"
    name += "" if seed == _SEED else f"-{seed}"
    torch.manual_seed(seed)
    judge = Judge(len(emoji)).to(device())
    styles = [s for s in range(len(STYLES)) if s != without_style]
    rgba = premultiply(pictures[:, styles].reshape(-1, *pictures.shape[2:]))

    def loss_of(generator: torch.Generator) -> torch.Tensor:
        if seed != _SEED:
            generator.manual_seed(generator.initial_seed() * 1009 + seed)
        rows = torch.randint(len(rgba), (BATCH,), generator=generator)
        images = roughen(
            compose(rgba[rows], draw_backgrounds(BATCH, generator), generator, scale=(0.7, 1.1)), generator
        )
        with autocast():
            logits = judge(images.to(device()))
        return F.cross_entropy(logits.float(), (rows // len(styles)).to(device()), label_smoothing=0.05)

    return train(Stage(name=name, steps=1200, lr=1e-3, weight_decay=0.05), judge, loss_of, folder)


def roughen(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Blur, noise and colour changes, so that the judge looks at shape and colour, not at sharpness."""
    soft = F.interpolate(F.avg_pool2d(images, 2), scale_factor=2, mode="bilinear")
    amount = torch.rand(len(images), 1, 1, 1, generator=generator)
    images = images + amount * (soft - images)
    images = images * (0.85 + 0.3 * torch.rand(len(images), 1, 1, 1, generator=generator))
    return images + 0.1 * torch.rand(len(images), 1, 1, 1, generator=generator) * torch.randn(
        images.shape, generator=generator
    )


@torch.no_grad()
def named_among(
    judge: Judge, images: torch.Tensor, asked: list[str], emoji: list[Emoji], *, seed: int = 0
) -> np.ndarray:
    """Does the judge name the asked concept among 20 (19 others drawn from `CONCEPTS`)? Booleans (N,)."""
    rows = {e.name: i for i, e in enumerate(emoji)}
    logits = torch.cat([judge(chunk.to(device())).float().cpu() for chunk in images.split(64)])
    rng, right = np.random.default_rng(seed), []
    for scores, concept in zip(logits, asked, strict=True):
        others = rng.permutation([c for c in CONCEPTS if c != concept])[: CHOICES - 1]
        options = [concept, *others]
        right.append(int(scores[[rows[o] for o in options]].argmax()) == 0)
    return np.array(right)
