"""What a picture that was drawn shows: read off the picture itself, not off the prompt that it was drawn for.

tiny-sd often draws something else than it was asked for, and a rater cannot like what is not there. So readers that
were trained apart, on the real emoji alone, say what each picture shows, and how surely: the concept three judges of
tiny-sd's make, among the prompt's own and 19 others; the style five small networks over the three artists; the
background the border's colour. One network alone has its whims, and what nobody else sees cannot be learned to 90 %: as
many read together as it takes for as many others to agree with them (`main` prints how far they do). All are trained
once and kept beside the emoji.

    python -m benchmarks.rater_reading FOLDER    # how well they read, what tiny-sd drew, and how far others agree
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

from benchmarks.rater_pictures import STYLES, Said, Seen, read
from benchmarks.rater_tastes import TASTES, Rater, pixels_of
from tools.tiny_models.augment import BACKGROUNDS, compose, draw_backgrounds, premultiply
from tools.tiny_models.emoji import load_emoji
from tools.tiny_models.judge import Judge, roughen, train_judge
from tools.tiny_models.loop import Stage, device, train

if TYPE_CHECKING:
    from tools.tiny_models.emoji import Emoji

OPTIONS = 20  # names that the judges choose among
HELD_OUT = 5  # every fifth emoji is kept from the style readers, to see how well they read
BATCH, STEPS = 64, 800
Seeds = tuple[Sequence[int], Sequence[int]]  # of judges and of style readers
SEEDS: Seeds = ((7, 14, 15), (9, 10, 11, 24, 25))
OTHER_SEEDS: Seeds = ((8, 16, 17), (12, 13, 21, 22, 23))


class StyleReader(nn.Module):
    """Three convolutions, mean and spread over all places, a linear layer: it sees how a thing is drawn, not what."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for a, b, stride in ((3, 32, 2), (32, 64, 2), (64, 64, 1)):
            layers += [nn.Conv2d(a, b, 3, stride=stride, padding=1), nn.GroupNorm(8, b), nn.SiLU()]
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(128, len(STYLES))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(N, 3, 64, 64) in -1..1 -> logits (N, 3)."""
        places = self.body(images).flatten(2)  # (N, 64, 256)
        return self.head(torch.cat([places.mean(dim=2), places.std(dim=2)], dim=1))


@dataclass(frozen=True)
class Readers:
    """Judges and style readers.

    Attributes:
        names: of the emoji, in the judges' order.
    """

    names: Sequence[str]
    judges: Sequence[Judge]
    panel: Sequence[StyleReader]

    def seen(self, files: Sequence[Path], wanted: Said, seed: int) -> list[Seen]:
        """What pictures of 64 px show to somebody who was told the prompt."""
        pictures = np.stack([np.asarray(Image.open(file).convert("RGB")) for file in files])
        images = torch.from_numpy(pictures).movedim(-1, 1).float() / 127.5 - 1  # (N, 3, 64, 64)
        rest = [name for name in self.names if name != wanted.concept]
        options = [wanted.concept, *random.Random(seed).sample(rest, OPTIONS - 1)]
        row_of = {name: row for row, name in enumerate(self.names)}
        surely = self.things(images, [row_of[name] for name in options])[:, 0].tolist()
        styles, grounds = self.styles(images).tolist(), backgrounds_of(images).tolist()
        return [
            Seen(concept, dict(zip(STYLES, style, strict=True)), list(BACKGROUNDS)[ground])
            for concept, style, ground in zip(surely, styles, grounds, strict=True)
        ]

    @torch.no_grad()
    def things(self, images: torch.Tensor, rows: Sequence[int] | slice = slice(None)) -> torch.Tensor:
        """(N, 3, 64, 64) in -1..1 -> (N, rows): the judges' mean probability of each of these names, among them."""
        each = [judge(images.to(device())).float().cpu()[:, rows].softmax(dim=1) for judge in self.judges]
        return torch.stack(each).mean(dim=0)

    @torch.no_grad()
    def styles(self, images: torch.Tensor) -> torch.Tensor:
        """(N, 3, 64, 64) in -1..1 -> (N, 3): the panel's mean probability of each style."""
        each = [reader(images.to(device())).float().cpu().softmax(dim=1) for reader in self.panel]
        return torch.stack(each).mean(dim=0)


def backgrounds_of(images: torch.Tensor) -> torch.Tensor:
    """(N, 3, H, W) in -1..1 -> (N,): which of `BACKGROUNDS` is nearest to the median colour of the border."""
    border = torch.cat([images[:, :, 0], images[:, :, -1], images[..., 0], images[..., -1]], dim=2)
    levels = ((border.quantile(0.5, dim=2) + 1) * 255).round() / 2  # (N, 3), rid of rounding
    return torch.cdist(levels, torch.tensor(list(BACKGROUNDS.values())).float(), p=1).argmin(dim=1)


def load_readers(emoji_folder: Path, seeds: Seeds = SEEDS) -> Readers:
    """All, trained where they are not there yet (a judge 4 minutes on a CPU core, a style reader 1)."""
    emoji, pictures = load_emoji(emoji_folder)
    judges = [train_judge(emoji, pictures, emoji_folder, seed=seed) for seed in seeds[0]]
    readers = [_train_style_reader(emoji, pictures, emoji_folder, seed) for seed in seeds[1]]
    return Readers([each.name for each in emoji], judges, readers)


def _train_style_reader(emoji: list[Emoji], pictures: np.ndarray, folder: Path, seed: int) -> StyleReader:
    torch.manual_seed(seed)
    reader = StyleReader().to(device())
    rows = [row for row in range(len(emoji)) if row % HELD_OUT]
    rgba = premultiply(pictures[rows].reshape(-1, *pictures.shape[2:]))

    def loss_of(generator: torch.Generator) -> torch.Tensor:
        generator.manual_seed(generator.initial_seed() * 1009 + seed)  # readers see other batches
        drawn = torch.randint(len(rgba), (BATCH,), generator=generator)
        images = compose(rgba[drawn], draw_backgrounds(BATCH, generator), generator, scale=(0.7, 1.1))
        logits = reader(roughen(images, generator).to(device()))
        return F.cross_entropy(logits.float(), (drawn % len(STYLES)).to(device()))

    stage = Stage(f"style-reader-{seed}", steps=STEPS, lr=3e-3, warmup=50, ema_decay=0.99, weight_decay=0.05)
    train(stage, reader, loss_of, folder)
    return reader


def style_accuracy(readers: Readers, emoji_folder: Path) -> float:
    """Share of the held-out emoji, blurred and coloured anew, whose artist the style reader names."""
    emoji, pictures = load_emoji(emoji_folder)
    rgba = premultiply(pictures[[r for r in range(len(emoji)) if r % HELD_OUT == 0]].reshape(-1, *pictures.shape[2:]))
    generator = torch.Generator().manual_seed(5)
    images = roughen(compose(rgba, draw_backgrounds(len(rgba), generator), generator), generator)
    named = torch.cat([readers.styles(chunk).argmax(dim=1) for chunk in images.split(64)])
    return float((named == torch.arange(len(rgba)) % len(STYLES)).float().mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="of benchmarks.rater_pictures")
    folder = parser.parse_args().folder
    readers = load_readers(folder / "packages")
    accuracy = style_accuracy(readers, folder / "packages")
    print(f"style readers: {100 * accuracy:.0f} % of the real emoji that they never saw")
    rows = json.loads((folder / "tiny-sd" / "groups.json").read_text(encoding="utf-8"))
    pairs = [(row["wanted"], *pair) for row in rows for pair in zip(row["asked"], row["seen"], strict=True)]
    concept = [seen["concept"] for wanted, asked, seen in pairs if asked["concept"] == wanted["concept"]]
    style = [seen["styles"][asked["style"]] for _, asked, seen in pairs]
    ground = [seen["background"] == asked["background"] for _, asked, seen in pairs]
    for name, shares in (("concept", concept), ("style", style), ("background", ground)):
        print(f"tiny-sd: the {name} that was asked for is there with a mean probability of {np.mean(shares):.2f}")
    _print_agreement(folder, load_readers(folder / "packages", OTHER_SEEDS))


def _print_agreement(folder: Path, others: Readers) -> None:
    """What a rater of the same taste gets who sees pictures with the eyes of other readers of the same make."""
    from benchmarks.raters import TEST_PICKS, first_unseen, share_of_ceiling

    groups = read(folder, "tiny-sd")
    unseen = range(first_unseen(groups), len(groups))
    seen = {n: others.seen([shown.file for shown in groups[n].pictures], groups[n].wanted, n) for n in unseen}
    for taste in ("one style", "3D style", "prompt fit"):
        scores = {
            (n, shown.file): TASTES[taste](pixels_of(shown.file), each, groups[n].wanted)
            for n in unseen
            for shown, each in zip(groups[n].pictures, seen[n], strict=True)
        }
        share = share_of_ceiling(Rater(taste, groups).picks(unseen, TEST_PICKS, 2), scores)
        print(f"tiny-sd, {taste}: other readers", *(f"{100 * value:.1f}" for value in share))


if __name__ == "__main__":
    main()
