"""Stage 4: simulated choices. One picture of four is preferred; the rater is a formula and says so.

No person chose here. The rater of `tiny-hps` looks at the asked concept, at damage, and at what tiny-sd draws (as the
judge reads it); the rater of `tiny-holdout` sees only damaged real pictures, with less kinds of damage.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from lib_hps.scoring.clip.model import Clip
from lib_hps.scoring.clip.tokenizer import Tokenizer

from .augment import compose, draw_backgrounds, premultiply
from .captions import caption
from .contrastive import Recipe, normalise
from .emoji import STYLES, Emoji
from .loop import device, train

CANDIDATES = 4
PROMPTS_A_BATCH = 32
RATER_TEMPERATURE = 0.35
HELD_OUT = 10  # every tenth emoji is kept for the test


def damage(images: torch.Tensor, level: torch.Tensor, kind: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Blur, noise, warped shapes or washed-out colour, by `level` (N,) in 0..1 and `kind` (N,) in 0..3."""
    amount = level[:, None, None, None]
    soft = F.interpolate(F.avg_pool2d(images, 4), scale_factor=4, mode="bilinear")
    noise = torch.randn(images.shape, generator=generator)
    field = F.interpolate(
        torch.randn(len(images), 2, 5, 5, generator=generator), size=images.shape[-2:], mode="bicubic"
    )
    base = F.affine_grid(torch.eye(2, 3).expand(len(images), 2, 3), list(images.shape), align_corners=False)
    bent = F.grid_sample(
        images, base + 0.18 * amount * field.permute(0, 2, 3, 1), padding_mode="border", align_corners=False
    )
    grey = images.mean(dim=1, keepdim=True) * 0.6 + 0.3
    versions = [torch.lerp(images, soft, amount), images + 0.7 * amount * noise, bent, torch.lerp(images, grey, amount)]
    return torch.stack(versions)[kind, torch.arange(len(images))].clamp(-1, 1)


class ChoiceSource:
    """Draws batches of choices: prompts, four pictures each, and the one the rater took."""

    def __init__(
        self, recipe: Recipe, emoji: list[Emoji], pictures: np.ndarray, generated: dict[str, torch.Tensor] | None
    ) -> None:
        self.emoji, self.generated = emoji, generated
        self.rgba = premultiply(pictures.reshape(-1, *pictures.shape[2:]))
        self.kinds = 3 if recipe.rough else 4
        held = torch.arange(len(emoji)) % HELD_OUT == 0
        self.rows = {"train": torch.nonzero(~held)[:, 0], "test": torch.nonzero(held)[:, 0]}

    def draw(self, split: str, generator: torch.Generator) -> tuple[torch.Tensor, list[str], torch.Tensor]:
        """(P, 4, 3, H, W) in -1..1, P prompts, (P,) chosen."""
        images, prompts, utility = self._damaged(split, generator)
        if self.generated is not None and split == "train":
            drawn = torch.randint(len(self.generated["images"]), (PROMPTS_A_BATCH // 2,), generator=generator)
            texts = [self.generated["prompts"][i] for i in drawn.tolist()]
            images = torch.cat([images[: PROMPTS_A_BATCH // 2], self.generated["images"][drawn].float()])
            utility = torch.cat([utility[: PROMPTS_A_BATCH // 2], self.generated["utility"][drawn]])
            prompts = prompts[: PROMPTS_A_BATCH // 2] + texts
        gumbel = -torch.log(-torch.log(torch.rand(utility.shape, generator=generator).clamp(1e-9, 1 - 1e-9)))
        return images, prompts, (utility + RATER_TEMPERATURE * gumbel).argmax(dim=1)

    def _damaged(self, split: str, generator: torch.Generator) -> tuple[torch.Tensor, list[str], torch.Tensor]:
        rows = self.rows[split][torch.randint(len(self.rows[split]), (PROMPTS_A_BATCH,), generator=generator)]
        styles = torch.randint(len(STYLES), (PROMPTS_A_BATCH,), generator=generator)
        shown = draw_backgrounds(PROMPTS_A_BATCH, generator)
        pairs = zip(rows.tolist(), styles.tolist(), shown.tolist(), strict=True)
        prompts = [caption(self.emoji[e], s, b, generator) for e, s, b in pairs]
        count = PROMPTS_A_BATCH * CANDIDATES
        wrong = torch.rand(count, generator=generator) < 0.15
        other = torch.randint(len(self.emoji), (count,), generator=generator)
        which = torch.where(wrong, other, rows.repeat_interleave(CANDIDATES))
        pictures = self.rgba[which * len(STYLES) + styles.repeat_interleave(CANDIDATES)]
        images = compose(pictures, shown.repeat_interleave(CANDIDATES), generator)
        level = torch.rand(count, generator=generator)
        kind = torch.randint(self.kinds, (count,), generator=generator)
        images = damage(images, level, kind, generator)
        utility = -2.5 * level - 3.0 * wrong.float()
        return images.unflatten(0, (-1, CANDIDATES)), prompts, utility.view(-1, CANDIDATES)


def train_on_choices(recipe: Recipe, model: Clip, source: ChoiceSource, tokenizer: Tokenizer, folder: Path) -> Clip:
    """Cross-entropy of softmax over the choice's cosines against the chosen one (arXiv 2303.14420, section 4)."""

    def loss_of(generator: torch.Generator) -> torch.Tensor:
        images, prompts, chosen = source.draw("train", generator)
        with torch.autocast(device().type, dtype=torch.bfloat16):
            logits = choice_logits(model, tokenizer, images, prompts)
        return F.cross_entropy(logits, chosen.to(device()))

    return train(recipe.choices, model, loss_of, folder)


def choice_logits(model: Clip, tokenizer: Tokenizer, images: torch.Tensor, prompts: list[str]) -> torch.Tensor:
    """(P, 4) scaled cosines of (P, 4, 3, H, W) pictures with their prompts."""
    seen, read, scale = model(normalise(images.flatten(0, 1)).to(device()), tokenizer(prompts).to(device()))
    seen = seen.float().unflatten(0, (-1, images.shape[1]))
    return (seen * read.float()[:, None]).sum(dim=-1) * scale.clamp(max=100)


@torch.no_grad()
def choice_accuracy(model: Clip, source: ChoiceSource, tokenizer: Tokenizer, *, batches: int = 25) -> float:
    """Top-1 on choices over emoji that stage 4 never showed (chance is 0.25)."""
    right = []
    for i in range(batches):
        images, prompts, chosen = source.draw("test", torch.Generator().manual_seed(10_000 + i))
        right.append((choice_logits(model, tokenizer, images, prompts).argmax(dim=1).cpu() == chosen).float().mean())
    return float(torch.stack(right).mean())
