"""A tiny CLIP that has seen what tiny-sd draws: a start model for `benchmarks.raters --base`.

Published CLIPs have seen pictures of every make; tiny-hps saw clean emoji alone, and names few of tiny-sd's soft
pictures. Here the image tower first learns to sort pictures by thing, style and background: roughened emoji, and
drawings as judges and style readers see them who are not the raters' own (`rater_reading`), for other prompts and
seeds than raters choose from (self-training: Xie et al. 2020; see `Lessons`). Then it is locked, and the text tower
learns where pictures of each phrase lie (locked-image tuning: Zhai et al. 2022, "LiT"); captions in batches taught few
of a thousand names.

    for seed in 31 61; do
        python -m benchmarks.rater_pictures DRAWINGS/$seed --seed $seed --source tiny-sd --groups 600 --variants 1
    done
    python -m benchmarks.drawn_clip WORK DRAWINGS/* --out ~/.cache/hps/raters/drawn
"""

from __future__ import annotations

import argparse
import logging
import math
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.drawn_lessons import SMOOTHING, Lessons
from benchmarks.drawn_phrases import Phrases, Places
from lib_hps.scoring.clip.config import ClipConfig, TextConfig, VisionConfig
from lib_hps.scoring.clip.model import Clip, build
from tools.tiny_models.augment import BACKGROUNDS
from tools.tiny_models.captions import CONTEXT
from tools.tiny_models.contrastive import Recipe, normalise
from tools.tiny_models.emoji import STYLES
from tools.tiny_models.loop import Stage, autocast, device, train
from tools.tiny_models.publish import publish_scorer
from tools.tiny_models.train import Run

PICTURES = Stage("drawn-clip-pictures", steps=7000, lr=1.5e-3, warmup=100, weight_decay=0.1, ema_decay=0.995)
TEXTS = Stage("drawn-clip-texts", steps=1000, lr=2e-3, warmup=50, weight_decay=0.01, ema_decay=0.99)
PHRASES = 192  # a batch
SCALE = 16.0  # at first; of things, styles and backgrounds alike, for a CLIP has but one
COUNTS = (1.0, 1.5, 1.0)  # in the loss
EMBED, SIDE_PX, SEED = 256, 96, 21


class Sorter(nn.Module):
    """An image tower, and tables of the directions in which each thing, style and background lies."""

    def __init__(self, clip: Clip, things: int) -> None:
        super().__init__()
        self.visual = clip.visual.to(memory_format=torch.channels_last)
        generator = torch.Generator().manual_seed(3)

        def table(rows: int) -> nn.Parameter:
            return nn.Parameter(torch.randn(rows, EMBED, generator=generator) / EMBED**0.5)

        self.names, self.styles, self.grounds = table(things), table(len(STYLES)), table(len(BACKGROUNDS))
        self.scale = nn.Parameter(torch.tensor(SCALE).log())

    def embed(self, images: torch.Tensor) -> torch.Tensor:
        """(N, 3, 64, 64) in -1..1 -> (N, E), of length 1."""
        large = F.interpolate(images, size=SIDE_PX, mode="bicubic", antialias=True, align_corners=False).clamp(-1, 1)
        with autocast():
            seen = self.visual(normalise(large).contiguous(memory_format=torch.channels_last).to(device()))
        return F.normalize(seen.float(), dim=1)

    def places(self) -> Places:
        """What pictures are sorted by."""
        tables = (F.normalize(each, dim=1) for each in (self.names, self.styles, self.grounds))
        return Places(*tables, self.scale.exp())

    def loss(self, lessons: Lessons, generator: torch.Generator) -> torch.Tensor:
        """Cross-entropy of a fresh batch."""
        shown, places = lessons.batch(generator), self.places()
        seen = self.embed(shown.images)
        things = (1 - SMOOTHING) * shown.things + SMOOTHING / shown.things.shape[1]
        tables, wanted = (places.things, places.styles, places.grounds), (things, shown.styles, shown.grounds)
        losses = [
            F.cross_entropy(places.scale * seen @ table.T, each.to(device()))
            for table, each in zip(tables, wanted, strict=True)
        ]
        return torch.stack([count * loss for count, loss in zip(COUNTS, losses, strict=True)]).sum()


@torch.no_grad()
def measure_batches(sorter: Sorter, lessons: Lessons) -> None:
    """The statistics of batches that the averaged weights give: those in the layers are of the weights before."""
    layers = [layer for layer in sorter.modules() if isinstance(layer, nn.BatchNorm2d)]
    sorter.train()
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # the mean of all batches
    for number in range(30):
        sorter.embed(lessons.batch(torch.Generator().manual_seed(10**6 + number)).images)
    sorter.eval()


def teach_texts(clip: Clip, sorter: Sorter, run: Run) -> None:
    """The text tower alone, towards the places of phrases."""
    clip.visual.requires_grad_(False)
    places = Places(*(each.detach().cpu() for each in vars(sorter.places()).values()))
    clip.logit_scale.data.fill_(math.log(float(places.scale)))
    clip.logit_scale.requires_grad_(False)
    phrases = Phrases(run.emoji, places)

    def loss_of(generator: torch.Generator) -> torch.Tensor:
        said, wanted = phrases.batch(PHRASES, generator)
        tokens = run.clip_tokenizer(said)
        tokens = tokens[:, : int(tokens.argmax(dim=1).max()) + 1]  # nothing is read behind the end of a text
        read = F.normalize(clip.encode_text(tokens.to(device())).float(), dim=1)
        return 10 * (1 - (read * wanted.to(device())).sum(dim=1)).mean()

    train(TEXTS, clip, loss_of, run.work)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path, help="where the tiny models were trained; the readers are kept there too")
    parser.add_argument("drawings", type=Path, nargs="+", help="folders of benchmarks.rater_pictures, of other seeds")
    parser.add_argument("--out", type=Path, required=True, help="a folder; raters call the start model so")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    run = Run(arguments.work)
    config = ClipConfig(
        embed_dim=EMBED,
        vision=VisionConfig(kind="resnet", image_size=SIDE_PX, width=32, layers=(1, 2, 2, 1), heads=16),
        text=TextConfig(
            vocab_size=len(run.tokenizer), context_length=CONTEXT, width=128, layers=3, heads=2, mlp_width=512
        ),
    )
    clip, lessons = build(config, seed=SEED).to(device()), Lessons(run, arguments.drawings)
    sorter = Sorter(clip, len(run.emoji)).to(device())
    train(PICTURES, sorter, lambda generator: sorter.loss(lessons, generator), run.work)
    measure_batches(sorter, lessons)
    teach_texts(clip, sorter, run)
    publish_scorer(Recipe("drawn", config, SEED, False, True, PICTURES, TEXTS), clip, run.merges, arguments.out)
    print(arguments.out / "model.safetensors")


if __name__ == "__main__":
    main()
