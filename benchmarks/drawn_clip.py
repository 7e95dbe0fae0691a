"""A tiny CLIP that has seen what tiny-sd draws: a start model for `benchmarks.raters --base`.

Published CLIPs have seen pictures of every make; tiny-hps saw clean emoji alone, and names few of tiny-sd's soft
pictures. This one learns from roughened emoji, and then from drawings too, whose captions say what is seen there, not
what was asked for (recaptioning: Betker et al. 2023, "Improving Image Generation with Better Captions", section 2). The
captions are written by a judge and a panel of other seeds than the raters' own (`rater_reading`), and the drawings are
of other prompts and seeds than those that raters choose from.

    python -m benchmarks.rater_pictures DRAWINGS --seed 31 --source tiny-sd --groups 600 --variants 1
    python -m benchmarks.drawn_clip WORK DRAWINGS ~/.cache/hps/raters/drawn
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

from benchmarks.rater_pictures import read
from benchmarks.rater_reading import OTHER_SEEDS, background_of, load_readers
from lib_hps.scoring.clip.config import ClipConfig, TextConfig, VisionConfig
from lib_hps.scoring.clip.model import build
from tools.tiny_models.augment import BACKGROUNDS, compose, damage, draw_backgrounds, move, premultiply
from tools.tiny_models.captions import CONTEXT, caption
from tools.tiny_models.contrastive import Recipe, normalise, softmax_loss
from tools.tiny_models.emoji import SIZE_PX, STYLES
from tools.tiny_models.judge import roughen
from tools.tiny_models.loop import Stage, autocast, device, step_of, train
from tools.tiny_models.publish import publish_scorer
from tools.tiny_models.train import Run

STEPS, EMOJI_ALONE = 1600, 750
BATCH, EMOJI_BESIDE = 144, 60  # pictures; emoji beside drawings
SMOOTHING, NAMES_COUNT, STYLES_COUNT, SURE = 0.05, 0.5, 0.3, 20.0
SEED = 21


@dataclass(frozen=True)
class Shown:
    """Pictures (N, 3, 64, 64) in -1..1; how surely which thing (N, names), in which style (N, 3); backgrounds (N,)."""

    images: torch.Tensor
    things: torch.Tensor
    styles: torch.Tensor
    grounds: torch.Tensor


class Learner(nn.Module):
    """The CLIP, and two linear readers of its image embedding that help it to learn and are thrown away."""

    def __init__(self, recipe: Recipe, names: int) -> None:
        super().__init__()
        self.clip = build(recipe.config, seed=recipe.seed)
        self.clip.visual.to(memory_format=torch.channels_last)
        generator = torch.Generator().manual_seed(recipe.seed)
        self.things = nn.Parameter(torch.randn(names, recipe.config.embed_dim, generator=generator) / 10)
        self.styles = nn.Parameter(torch.randn(len(STYLES), recipe.config.embed_dim, generator=generator) / 10)

    def likely(self, seen: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
        """Logits (N, M) of image embeddings (N, E)."""
        return SURE * seen @ F.normalize(table, dim=1).T


class Lessons:
    """Batches of roughened emoji and of drawings."""

    def __init__(self, run: Run, drawings: Path) -> None:
        self.emoji, self._tokenizer = run.emoji, run.clip_tokenizer
        self._rgba = premultiply(run.pictures.reshape(-1, *run.pictures.shape[2:]))
        readers = load_readers(run.work, OTHER_SEEDS)
        files = [shown.file for group in read(drawings, "tiny-sd") for shown in group.pictures]
        pixels = np.stack([np.asarray(Image.open(file).convert("RGB")) for file in files])
        images = torch.from_numpy(pixels).movedim(-1, 1).float() / 127.5 - 1
        with torch.no_grad():
            named = torch.cat([readers.judge(part.to(device())).float().cpu() for part in images.split(64)])
            styles = torch.cat([readers.styles(part) for part in images.split(64)])
        grounds = torch.tensor([list(BACKGROUNDS).index(background_of(picture)) for picture in pixels])
        self._drawn = Shown(images, named.softmax(dim=1), styles, grounds)

    def emoji_batch(self, count: int, generator: torch.Generator) -> Shown:
        """Half as many emoji, each in two styles."""
        which = torch.randperm(len(self.emoji), generator=generator)[: count // 2].repeat(2)
        first = torch.randint(len(STYLES), (count // 2,), generator=generator)
        styles = torch.cat([first, (first + 1) % len(STYLES)])
        grounds = draw_backgrounds(count, generator)
        images = compose(self._rgba[which * len(STYLES) + styles], grounds, generator, scale=(0.7, 1.1))
        level = 0.7 * torch.rand(count, generator=generator) * (torch.rand(count, generator=generator) < 0.4)
        kind = torch.randint(4, (count,), generator=generator)
        images = damage(roughen(images, generator), level, kind, generator)
        return Shown(images, F.one_hot(which, len(self.emoji)).float(), F.one_hot(styles, len(STYLES)).float(), grounds)

    def drawn_batch(self, count: int, generator: torch.Generator) -> Shown:
        """Drawings, moved a little."""
        rows = torch.randint(len(self._drawn.images), (count,), generator=generator)
        images, things, styles, grounds = (part[rows] for part in vars(self._drawn).values())
        return Shown(move(images, generator), things, styles, grounds)

    def batch(self, step: int, generator: torch.Generator) -> list[Shown]:
        """What a step learns from."""
        if step < EMOJI_ALONE:
            return [self.emoji_batch(BATCH, generator)]
        return [self.emoji_batch(EMOJI_BESIDE, generator), self.drawn_batch(BATCH - EMOJI_BESIDE, generator)]

    def loss(self, learner: Learner, generator: torch.Generator) -> torch.Tensor:
        """Of captions drawn by how sure the readers are, and of both linear readers."""
        batch = [vars(each).values() for each in self.batch(step_of(generator), generator)]
        images, things, styles, grounds = (torch.cat(parts) for parts in zip(*batch, strict=True))
        thing, style = (torch.multinomial(part, 1, generator=generator)[:, 0] for part in (things, styles))
        rows = zip(thing.tolist(), style.tolist(), grounds.tolist(), strict=True)
        said = [caption(self.emoji[e], s, b, generator) for e, s, b in rows]
        silent = torch.tensor(["style" not in text for text in said])
        match = (thing[:, None] == thing) & (grounds[:, None] == grounds) & (silent | (style[:, None] == style))
        with autocast():
            pixels = normalise(images).contiguous(memory_format=torch.channels_last)
            seen, read, scale = learner.clip(pixels.to(device()), self._tokenizer(said).to(device()))
        seen, read = seen.float(), read.float()
        named = F.cross_entropy(learner.likely(seen, learner.things), things.to(device()), label_smoothing=SMOOTHING)
        styled = F.cross_entropy(learner.likely(seen, learner.styles), styles.to(device()))
        told = softmax_loss(seen @ read.T * scale.clamp(max=100), match.to(device()))
        return told + NAMES_COUNT * named + STYLES_COUNT * styled


def recipe_of(vocab_size: int) -> Recipe:
    """A ResNet of CLIP's make, small."""
    config = ClipConfig(
        embed_dim=128,
        vision=VisionConfig(kind="resnet", image_size=SIZE_PX, width=32, layers=(1, 2, 2, 1), heads=16),
        text=TextConfig(vocab_size=vocab_size, context_length=CONTEXT, width=128, layers=3, heads=2, mlp_width=512),
    )
    stage = Stage("drawn-clip", steps=STEPS, lr=1.5e-3, weight_decay=0.1, ema_decay=0.995)
    return Recipe("drawn", config, SEED, False, True, stage, stage)


@torch.no_grad()
def measure_batches(learner: Learner, lessons: Lessons) -> None:
    """The statistics of batches that the averaged weights give: those in the layers are of the weights before."""
    layers = [layer for layer in learner.clip.modules() if isinstance(layer, nn.BatchNorm2d)]
    learner.train()
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # the mean of all batches
    for number in range(30):
        generator = torch.Generator().manual_seed(10**6 + number)
        images = torch.cat([each.images for each in lessons.batch(STEPS, generator)])
        learner.clip.encode_image(normalise(images).to(device()))
    learner.eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path, help="where the tiny models were trained; the readers are kept there too")
    parser.add_argument("drawings", type=Path, help="folder of benchmarks.rater_pictures, of another seed")
    parser.add_argument("out", type=Path, help="a folder; its name is what benchmarks.raters calls the start model")
    arguments = parser.parse_args()
    run = Run(arguments.work)
    recipe, lessons = recipe_of(len(run.tokenizer)), Lessons(run, arguments.drawings)
    learner = Learner(recipe, len(run.emoji)).to(device())
    train(recipe.contrastive, learner, lambda generator: lessons.loss(learner, generator), run.work)
    measure_batches(learner, lessons)
    publish_scorer(recipe, learner.clip, run.merges, arguments.out)
    print(arguments.out / "model.safetensors")


if __name__ == "__main__":
    main()
