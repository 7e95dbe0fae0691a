"""Stage 3: the two small CLIPs, first taught which caption belongs to which picture.

`tiny-hps` is a vision transformer with CLIP's softmax loss; `tiny-holdout` a ResNet with the sigmoid loss of SigLIP
(arXiv 2303.15343), other seeds and other augmentation, so that the second can judge what was optimised with the first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from lib_hps.scoring.clip.config import ClipConfig, TextConfig, VisionConfig
from lib_hps.scoring.clip.model import Clip, build
from lib_hps.scoring.clip.tokenizer import Tokenizer

from .augment import compose, draw_backgrounds, premultiply
from .captions import CONTEXT, caption
from .emoji import SIZE_PX, STYLES, Emoji
from .judge import roughen
from .loop import Stage, autocast, device, train

EMOJI_A_BATCH = 72  # each in two styles
MEAN = torch.tensor([0.48145466, 0.4578275, 0.40821073]).view(3, 1, 1)
STD = torch.tensor([0.26862954, 0.26130258, 0.27577711]).view(3, 1, 1)


@dataclass(frozen=True)
class Recipe:
    """What makes one of the two scorers."""

    name: str
    config: ClipConfig
    seed: int
    sigmoid_loss: bool
    rough: bool
    contrastive: Stage
    choices: Stage


def recipes(vocab_size: int) -> list[Recipe]:
    hps = ClipConfig(
        embed_dim=128,
        vision=VisionConfig(image_size=SIZE_PX, width=128, layers=5, heads=2, patch_size=8, mlp_width=512),
        text=TextConfig(vocab_size=vocab_size, context_length=CONTEXT, width=128, layers=3, heads=2, mlp_width=512),
        quick_gelu=True,
    )
    holdout = ClipConfig(
        embed_dim=96,
        vision=VisionConfig(kind="resnet", image_size=SIZE_PX, width=16, layers=(1, 1, 1, 1), heads=8),
        text=TextConfig(vocab_size=vocab_size, context_length=CONTEXT, width=64, layers=2, heads=1, mlp_width=256),
    )
    return [
        Recipe(
            "tiny-hps", hps, 11, False, False,
            Stage("tiny-hps", steps=1400, lr=1e-3, weight_decay=0.1),
            Stage("tiny-hps-choices", steps=500, lr=7e-4, warmup=30),
        ),
        Recipe(
            "tiny-holdout", holdout, 12, True, True,
            Stage("tiny-holdout", steps=1600, lr=1.5e-3, weight_decay=0.05),
            Stage("tiny-holdout-choices", steps=700, lr=1e-3, warmup=30),
        ),
    ]  # fmt: skip


def normalise(images: torch.Tensor) -> torch.Tensor:
    """Pictures (N, 3, H, W) in -1..1 -> what CLIP's image tower takes."""
    return ((images + 1) / 2 - MEAN) / STD


def train_contrastive(
    recipe: Recipe, emoji: list[Emoji], pictures: np.ndarray, tokenizer: Tokenizer, folder: Path
) -> Clip:
    """Teach captions; a picture may match several captions of its batch (another style, none said): all count."""
    model = build(recipe.config, seed=recipe.seed).to(device())
    rgba = premultiply(pictures.reshape(-1, *pictures.shape[2:]))

    def loss_of(generator: torch.Generator) -> torch.Tensor:
        return naming_loss(recipe, model, emoji, rgba, tokenizer, generator)

    return train(recipe.contrastive, model, loss_of, folder)


def naming_loss(
    recipe: Recipe,
    model: Clip,
    emoji: list[Emoji],
    rgba: torch.Tensor,
    tokenizer: Tokenizer,
    generator: torch.Generator,
    *,
    count: int = EMOJI_A_BATCH,
) -> torch.Tensor:
    """Contrastive loss of a fresh batch: `count` emoji in two styles each; `rgba` as `draw_pairs` takes it."""
    images, said, match = draw_pairs(emoji, rgba, generator, count=count)
    if recipe.rough:
        images = roughen(images, generator)
    with autocast():
        seen, read, scale = model(normalise(images).to(device()), tokenizer(said).to(device()))
    cosine = seen.float() @ read.float().T
    loss = _sigmoid_loss if recipe.sigmoid_loss else softmax_loss
    return loss(cosine * scale.clamp(max=100), match.to(device()))


def draw_pairs(
    emoji: list[Emoji], rgba: torch.Tensor, generator: torch.Generator, *, count: int = EMOJI_A_BATCH
) -> tuple[torch.Tensor, list[str], torch.Tensor]:
    """Pictures (N, 3, H, W), N captions, and which belong together (N, N): the same emoji on the same background, and
    the caption says the picture's style or none."""
    which = torch.randperm(len(emoji), generator=generator)[:count].repeat(2)
    first = torch.randint(len(STYLES), (count,), generator=generator)
    styles = torch.cat([first, (first + 1) % len(STYLES)])
    shown = draw_backgrounds(len(which), generator)
    images = compose(rgba[which * len(STYLES) + styles], shown, generator, scale=(0.7, 1.1))
    rows = zip(which.tolist(), styles.tolist(), shown.tolist(), strict=True)
    said = [caption(emoji[e], s, b, generator) for e, s, b in rows]
    silent = torch.tensor(["style" not in text for text in said])  # (captions,)
    match = (which[:, None] == which) & (shown[:, None] == shown) & (silent | (styles[:, None] == styles))
    return images, said, match


def cosines(model: Clip, tokenizer: Tokenizer) -> Callable[[torch.Tensor, list[str]], torch.Tensor]:
    """Of pictures (N, 3, H, W) in -1..1 and M texts: (N, M)."""

    @torch.no_grad()
    def score(images: torch.Tensor, texts: list[str]) -> torch.Tensor:
        read = torch.cat([model.encode_text(tokenizer(texts[i : i + 256])) for i in range(0, len(texts), 256)])
        seen = torch.cat([model.encode_image(normalise(chunk)) for chunk in images.split(128)])
        read, seen = (F.normalize(t.float(), dim=-1) for t in (read, seen))
        return seen @ read.T

    return score


@torch.no_grad()
def retrieval_accuracy(
    score: Callable[[torch.Tensor, list[str]], torch.Tensor],
    emoji: list[Emoji],
    pictures: np.ndarray,
    *,
    among: int = 20,
) -> float:
    """How often the right name scores highest among 20 names, over every real picture, moved afresh."""
    generator = torch.Generator().manual_seed(99)
    right = []
    names = [e.name for e in emoji]
    for style in range(len(STYLES)):
        rgba = premultiply(pictures[:, style])
        images = compose(rgba, torch.zeros(len(rgba), dtype=torch.long), generator)
        cosine = score(images, names)  # (images, names)
        for i, row in enumerate(cosine):
            others = torch.randperm(len(names), generator=generator)[: among - 1]
            right.append(bool(row[i] > row[others[others != i]].max()))
    return float(np.mean(right))


def softmax_loss(logits: torch.Tensor, match: torch.Tensor) -> torch.Tensor:
    target = match.float()
    rows = F.cross_entropy(logits, target / target.sum(dim=1, keepdim=True))
    columns = F.cross_entropy(logits.T, target.T / target.T.sum(dim=1, keepdim=True))
    return (rows + columns) / 2


def _sigmoid_loss(logits: torch.Tensor, match: torch.Tensor) -> torch.Tensor:
    # a fixed bias of -5 stands for SigLIP's learned one: the checkpoint keeps CLIP's own parameters alone
    return -F.logsigmoid(torch.where(match, 1.0, -1.0) * (logits - 5)).sum() / len(logits)
