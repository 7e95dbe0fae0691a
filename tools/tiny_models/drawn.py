"""Pictures that tiny-sd draws for the choices: other prompts and seeds for each scorer, and some that none learns from.

Most pictures of a prompt are drawn alike, so that they differ by their noise alone; the last few with other settings.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

import numpy as np
import torch

from lib_hps.diffusion.pipeline import Pipeline, load_pipeline
from lib_hps.diffusion.request import GenerationRequest

from .augment import BACKGROUNDS, COLOURED_SHARE
from .emoji import SIZE_PX, STYLES, Emoji
from .judge import CONCEPTS

log = logging.getLogger(__name__)

ALIKE = 12
SETTINGS = ((8, 4.0), (12, 4.0), (12, 2.5), (20, 5.0))  # (DDIM steps, CFG scale), one of them for a prompt
OTHER_SETTINGS = ((6, 4.0), (12, 1.5), (12, 7.0), (20, 3.0))
PROMPTS, PROVED = 200, 40  # of each scorer: to learn from, to tell when it has learned enough
UNSEEN, UNSEEN_ALIKE = 24, 48
PROOF = "-proof"  # behind a scorer's name: its prompts of the second kind
FIRST_SEED = {"tiny-hps": 10_000_000, "tiny-holdout": 20_000_000, "unseen": 30_000_000}
FIRST_SEED |= {"tiny-hps-proof": 40_000_000, "tiny-holdout-proof": 50_000_000}


def split_emoji(emoji: list[Emoji]) -> dict[str, list[int]]:
    """Rows of `emoji` for the choices of each scorer, and to prove it; "unseen" are what people try first, kept from
    both until the end."""
    kept = set(CONCEPTS)
    order = torch.randperm(len(emoji), generator=torch.Generator().manual_seed(77)).tolist()
    free = [row for row in order if emoji[row].name not in kept]
    rows = {"unseen": [row for row in order if emoji[row].name in kept]}
    for i, name in enumerate(("tiny-hps", "tiny-holdout")):
        own = free[i::2]
        rows |= {name + PROOF: own[:PROVED], name: own[PROVED:]}
    return rows


def draw_for(side: str, emoji: list[Emoji], checkpoint: Path, folder: Path) -> tuple[list[int], list[str], np.ndarray]:
    """Rows of the asked emoji (P,), prompts (P,), pictures uint8 (P, K, 64, 64, 3); what is in `folder` is kept.

    K is 16 (12 drawn alike, then four with other settings); 48 for "unseen" and 16 for a proof are drawn alike, with 8
    steps at CFG 4.
    """
    rows = split_emoji(emoji)[side][: UNSEEN if side == "unseen" else PROMPTS]
    prompts = [_prompt(emoji[row], FIRST_SEED[side] + row) for row in rows]
    pipeline: Pipeline | None = None
    pictures = []
    for number, prompt in enumerate(prompts):
        file = folder / "drawn" / side / f"{number:03d}.npy"
        if not file.exists():
            pipeline = pipeline or load_pipeline(checkpoint, "cpu", "bfloat16")
            file.parent.mkdir(parents=True, exist_ok=True)
            _save(file, _group(pipeline, prompt, side, number))
            if number % 20 == 0:
                log.info("drawn for %s: %d of %d prompts", side, number + 1, len(prompts))
        pictures.append(np.load(file))
    return rows, prompts, np.stack(pictures)


def _prompt(emoji: Emoji, seed: int) -> str:
    chance = torch.Generator().manual_seed(seed)
    words = f"{emoji.name}, {STYLES[int(torch.randint(len(STYLES), (), generator=chance))]} style"
    if torch.rand((), generator=chance) < COLOURED_SHARE:
        names = list(BACKGROUNDS)[1:]
        words += f", {names[int(torch.randint(len(names), (), generator=chance))]} background"
    return words


def _group(pipeline: Pipeline, prompt: str, side: str, number: int) -> np.ndarray:
    first = FIRST_SEED[side] + 100 * number
    if side == "unseen":
        return _draw(pipeline, prompt, first, UNSEEN_ALIKE, *SETTINGS[0])
    if side.endswith(PROOF):
        return _draw(pipeline, prompt, first, ALIKE + len(OTHER_SETTINGS), *SETTINGS[0])
    alike = _draw(pipeline, prompt, first, ALIKE, *SETTINGS[number % len(SETTINGS)])
    others = [_draw(pipeline, prompt, first + 50 + i, 1, *setting) for i, setting in enumerate(OTHER_SETTINGS)]
    return np.concatenate([alike, *others])


def _draw(pipeline: Pipeline, prompt: str, seed: int, count: int, steps: int, cfg: float) -> np.ndarray:
    size = {"width": SIZE_PX, "height": SIZE_PX}
    request = GenerationRequest(
        prompt, sampler="DDIM", steps=steps, cfg=cfg, seed=seed, count=count, batch_size=min(count, 24), **size
    )
    return np.stack([np.asarray(picture.image) for picture in pipeline.generate(request)])


def _save(file: Path, pictures: np.ndarray) -> None:
    temporary = file.with_suffix(".tmp")
    with open(temporary, "wb") as stream:
        np.save(stream, pictures)
    os.replace(temporary, file)
