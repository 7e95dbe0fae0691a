"""Stage 4: simulated choices. Both scorers learn from one rater (`rater.py`), each from other prompts and pictures.

Six of sixteen choices are between versions of a real picture, sometimes of something else; half of them damaged more or
less. The others are between pictures that tiny-sd drew for one prompt, three in four of them drawn alike, so that only
the noise differs. Prompts are few: so that looks are learned whatever is asked, most drawn pictures are moved and
coloured a little, and half of the choices between them go with a prompt of something else.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from lib_hps.scoring.clip.model import Clip
from lib_hps.scoring.clip.tokenizer import Tokenizer

from . import rater
from .augment import DAMAGES, compose, damage, draw_backgrounds, move
from .captions import caption
from .contrastive import Recipe, naming_loss, normalise
from .drawn import ALIKE
from .emoji import STYLES, Emoji
from .loop import autocast, device, train

CANDIDATES = 8
REAL, DRAWN = 6, 10  # choices in a batch
NAMED, NAMING_WEIGHT = 24, 0.5  # emoji of each batch that are named again, lest naming is forgotten
KEPT_SHARE = 0.85
ALIKE_SHARE, MOVED_SHARE, ELSE_SHARE, DAMAGED_SHARE = 0.75, 0.75, 0.5, 0.5


@dataclass(frozen=True)
class Drawn:
    """What tiny-sd drew for one scorer: prompts (P,), pictures uint8 (P, K, 64, 64, 3), the rater's view of them."""

    prompts: list[str]
    pictures: np.ndarray
    fit: torch.Tensor  # (P, K)
    standards: rater.Standards

    @property
    def utility(self) -> torch.Tensor:
        """(P, K)"""
        return rater.FIT_WEIGHT * self.fit + rater.looks(rater.to_images(self.pictures), self.standards)


class ChoiceSource:
    """Draws batches of choices: prompts, eight pictures each, and the rater's order of them.

    Args:
        emoji: all.
        rgba: their pictures, (N * styles, 4, 64, 64), as `premultiply` gives them.
        rows: of `emoji`, of the choices between real pictures.
        drawn: of the other choices; None: there are only real pictures.
    """

    def __init__(self, emoji: list[Emoji], rgba: torch.Tensor, rows: list[int], drawn: Drawn | None) -> None:
        self.emoji, self.rgba, self.rows, self.drawn = emoji, rgba, torch.tensor(rows), drawn

    def draw(self, generator: torch.Generator) -> tuple[torch.Tensor, list[str], torch.Tensor]:
        """(P, 8, 3, H, W) in -1..1, P prompts, (P, 8) orders, best first."""
        images, prompts, utility = self._real(REAL, generator)
        if self.drawn is not None:
            more, texts, worth = self._drawn(self.drawn, generator)
            images, prompts, utility = torch.cat([images, more]), prompts + texts, torch.cat([utility, worth])
        return images, prompts, rater.order(utility, generator)

    def _drawn(self, drawn: Drawn, generator: torch.Generator) -> tuple[torch.Tensor, list[str], torch.Tensor]:
        rows = torch.randint(len(drawn.prompts), (DRAWN,), generator=generator)
        is_alike = torch.rand(DRAWN, generator=generator) < ALIKE_SHARE
        most = [ALIKE if alike else drawn.pictures.shape[1] for alike in is_alike.tolist()]
        columns = torch.stack([torch.randperm(k, generator=generator)[:CANDIDATES] for k in most])
        images = rater.to_images(drawn.pictures[rows[:, None].numpy(), columns.numpy()])
        moved = move(images.flatten(0, 1), generator).view_as(images)
        is_moved, is_else = (torch.rand(DRAWN, 1, generator=generator) < p for p in (MOVED_SHARE, ELSE_SHARE))
        images = torch.where(is_moved[:, :, None, None, None], moved, images)
        worth = (
            rater.looks(images, drawn.standards.rows(rows))
            + rater.FIT_WEIGHT * drawn.fit[rows[:, None], columns] * ~is_else
        )
        prompts = [drawn.prompts[row] for row in rows.tolist()]
        for i in torch.nonzero(is_else[:, 0])[:, 0].tolist():
            other = self.emoji[int(self.rows[torch.randint(len(self.rows), (), generator=generator)])]
            prompts[i] = f"{other.name}, {STYLES[int(torch.randint(len(STYLES), (), generator=generator))]} style"
        return images, prompts, worth

    def _real(self, choices: int, generator: torch.Generator) -> tuple[torch.Tensor, list[str], torch.Tensor]:
        rows = self.rows[torch.randint(len(self.rows), (choices,), generator=generator)]
        styles = torch.randint(len(STYLES), (choices,), generator=generator)
        shown = draw_backgrounds(choices, generator)
        pairs = zip(rows.tolist(), styles.tolist(), shown.tolist(), strict=True)
        prompts = [caption(self.emoji[e], s, b, generator) for e, s, b in pairs]
        count = choices * CANDIDATES
        wrong = torch.rand(count, generator=generator) < 0.15
        other = torch.randint(len(self.emoji), (count,), generator=generator)
        which = torch.where(wrong, other, rows.repeat_interleave(CANDIDATES))
        pictures = self.rgba[which * len(STYLES) + styles.repeat_interleave(CANDIDATES)]
        images = compose(pictures, shown.repeat_interleave(CANDIDATES), generator)
        images = move(images, generator)
        soft = F.interpolate(F.avg_pool2d(images, 2), scale_factor=2, mode="bilinear")
        images = torch.lerp(images, soft, 0.7 * torch.rand(count, 1, 1, 1, generator=generator))
        is_damaged = (torch.rand(choices, generator=generator) < DAMAGED_SHARE).repeat_interleave(CANDIDATES)
        level = torch.rand(count, generator=generator) * is_damaged
        kind = torch.randint(DAMAGES, (count,), generator=generator)
        harmed = damage(images, level, kind, generator)
        images = torch.where(is_damaged[:, None, None, None], harmed, images).unflatten(0, (-1, CANDIDATES))
        looks = rater.looks(images, rater.USUAL)
        utility = torch.where(is_damaged, -2.5 * level, 0.0) - 3.0 * wrong.float()
        is_damaged = is_damaged.view(-1, CANDIDATES)
        return images, prompts, utility.view(-1, CANDIDATES) + torch.where(is_damaged, 0.0, looks)


def train_on_choices(
    recipe: Recipe, model: Clip, source: ChoiceSource, proof: Drawn, tokenizer: Tokenizer, folder: Path
) -> Clip:
    """Softmax over the cosines of a choice, as in HPS (arXiv 2303.14420, section 4), for each place of the order.

    Of the weights on the way those are taken that agree best with the rater on the prompts of `proof`, and
    `KEPT_SHARE` of the change is kept: so less of the naming is forgotten (WiSE-FT, arXiv 2109.01903).
    """
    from .agreement import scores_of, within_prompts

    def loss_of(generator: torch.Generator) -> torch.Tensor:
        for layer in model.modules():
            if isinstance(layer, torch.nn.BatchNorm2d):
                layer.eval()  # choices are made as the scorer will see pictures: alone
        images, prompts, order = source.draw(generator)
        with autocast():
            logits = choice_logits(model, tokenizer, images, prompts)
        named = naming_loss(recipe, model, source.emoji, source.rgba, tokenizer, generator, count=NAMED)
        return order_loss(logits, order.to(device())) + NAMING_WEIGHT * named

    def agreement(shown: torch.nn.Module) -> float:
        assert isinstance(shown, Clip)
        return within_prompts(scores_of(shown, tokenizer, proof), proof.utility.numpy())[0]

    start = {key: value.clone() for key, value in model.state_dict().items()}
    train(recipe.choices, model, loss_of, folder, validate=agreement)
    for key, value in model.state_dict().items():
        if value.is_floating_point():
            value.copy_(torch.lerp(start[key], value, KEPT_SHARE))
    return model


def order_loss(logits: torch.Tensor, order: torch.Tensor) -> torch.Tensor:
    """Mean negative log-likelihood of orders (P, K), best first, in Plackett and Luce's model with `logits` (P, K)."""
    placed = logits.gather(1, order)
    rest = placed.flip(1).logcumsumexp(dim=1).flip(1)  # of this place and all behind it
    return (rest - placed)[:, :-1].sum(dim=1).mean()


def choice_logits(model: Clip, tokenizer: Tokenizer, images: torch.Tensor, prompts: list[str]) -> torch.Tensor:
    """(P, 8) scaled cosines of (P, 8, 3, H, W) pictures with their prompts."""
    seen, read, scale = model(normalise(images.flatten(0, 1)).to(device()), tokenizer(prompts).to(device()))
    seen = seen.float().unflatten(0, (-1, images.shape[1]))
    return (seen * read.float()[:, None]).sum(dim=-1) * scale.clamp(max=100)


@torch.no_grad()
def choice_accuracy(model: Clip, source: ChoiceSource, tokenizer: Tokenizer, *, batches: int = 20) -> float:
    """Top-1 on the choices of `source` (chance is 0.125)."""
    right = []
    for i in range(batches):
        images, prompts, order = source.draw(torch.Generator().manual_seed(10_000 + i))
        chosen = choice_logits(model, tokenizer, images, prompts).argmax(dim=1).cpu()
        right.append((chosen == order[:, 0]).float().mean())
    return float(torch.stack(right).mean())
