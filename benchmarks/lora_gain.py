"""Does the LoRA raise the held-out score on unseen prompts? tiny-sd draws, tiny-hps chooses, tiny-holdout judges.

    python -m benchmarks.lora_gain FOLDER                            # everything; what is there is not made again
    python -m benchmarks.lora_gain FOLDER --judge                    # only the comparison of what was trained
    python -m benchmarks.lora_gain FOLDER --chooser "warm colours"   # a simulated person chooses, 15 % noise

A person's taste is judged by itself, without the noise.

200 prompts x 8 pictures are drawn with the settings that users have, good and bad (guidance 1.5 to 4, 6 to 12 steps),
and selected as the paper does (arXiv 2303.14420). Three LoRAs are trained with the same batch and rank, and each draws
the 150 prompts that nobody trained on, two seeds each, paired with the base, at weak and at usual guidance.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.lora_choosers import TASTES, Chooser, Taste, temperature
from benchmarks.lora_judging import SIZE, TRAIN, judge
from lib_hps.diffusion.bundled import HOLDOUT, SCORER, require_tiny_checkpoint
from lib_hps.diffusion.request import GenerationRequest
from lib_hps.infotext import png_info
from lib_hps.scoring import load_scorer
from lib_hps.training.lora.base import load_base
from lib_hps.training.lora.config import LoraSettings
from lib_hps.training.lora.run import Job, train_lora
from lib_hps.training.selection.picking import pick

SETTINGS = ({"steps": 12, "cfg": 4.0}, {"steps": 12, "cfg": 2.5}, {"steps": 12, "cfg": 1.5}, {"steps": 6, "cfg": 4.0})
EACH = 2  # pictures of each setting
GROUP = EACH * len(SETTINGS)
SHARED: dict[str, Any] = {
    "batch": 16, "rank": 16, "crops": 1, "schedule": "cosine", "save_every": 50,
    "sample_every": 0, "sample_cfg": 4.0, "sample_steps": 12,
}  # fmt: skip
RUNS: dict[str, dict[str, Any]] = {
    "hps": {"objective": "hps", "steps": 600, "lr": 1e-3, "ratio": "4:3:1"},
    "regularisation-only": {"objective": "regularisation-only", "steps": 600, "lr": 1e-3},
    "dpo": {"objective": "dpo", "steps": 300, "lr": 1e-3, "beta": 2000.0},
}


def draw(folder: Path) -> None:
    """The groups to select from: `folder/train/<prompt>/<seed>.png`."""
    pipeline = None
    for number, prompt in enumerate(TRAIN):
        group = folder / "train" / f"{number:03d}"
        if len(list(group.glob("*.png"))) == GROUP:
            continue
        pipeline = pipeline or load_base(require_tiny_checkpoint(), device="cpu").pipeline()
        group.mkdir(parents=True, exist_ok=True)
        for index, setting in enumerate(SETTINGS):
            seed = 100_000 + 1000 * number + EACH * index
            request = GenerationRequest(prompt, seed=seed, count=EACH, batch_size=EACH, **SIZE, **setting)
            for picture in pipeline.generate(request):
                picture.image.save(group / f"{picture.seed}.png", pnginfo=png_info(picture.infotext()))


def select(pictures: Path, out: Path, chooser: str) -> None:
    """`manifest.jsonl` by the paper's rule, with half of every group as regularisation, and `pairs.jsonl`."""
    chance = np.random.default_rng(0)
    groups = [sorted((pictures / f"{number:03d}").glob("*.png")) for number in range(len(TRAIN))]
    scores, sharpness = said(chooser, groups)
    rows, pairs = [], []
    for number, prompt in enumerate(TRAIN):
        files = groups[number]
        shared = {"prompt": prompt, "group": str(number)}
        found = pick(str(number), [(file, prompt) for file in files], scores[number], sharpness=sharpness)
        rows += [one.row() for one in found]
        for at in chance.permutation(len(files))[: GROUP // 2]:
            rows.append({**shared, "file": str(files[at]), "caption": prompt, "kind": "regularisation"})
        order = np.argsort(scores[number])
        for better, worse in ((7, 0), (6, 1), (7, 1), (6, 0)):
            ends = {"winner": str(files[order[better]]), "loser": str(files[order[worse]])}
            pairs.append({"prompt": prompt, **ends})
    for name, content in (("manifest", rows), ("pairs", pairs)):
        (out / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in content))


def said(chooser: str, groups: list[list[Path]]) -> tuple[list[np.ndarray], float]:
    """What the chooser says of each group's pictures, and how sharply to read it."""
    if chooser not in TASTES:
        scorer = load_scorer(chooser, device="cpu")
        return [scorer.score(files, prompt) for files, prompt in zip(groups, TRAIN, strict=True)], 100.0
    utilities = [Taste(chooser).score(files, "") for files in groups]
    width, chance = temperature(utilities), np.random.default_rng(1)
    return [one + width * chance.gumbel(size=len(one)) for one in utilities], 1 / width


def train(folder: Path) -> None:
    """The three LoRAs."""
    for name, changes in RUNS.items():
        out = folder / "loras" / f"{name}.safetensors"
        if out.exists():
            continue
        manifest = folder / ("pairs.jsonl" if name == "dpo" else "manifest.jsonl")
        job = Job(manifest, require_tiny_checkpoint(), out, folder / "runs" / name, device="cpu")
        train_lora(job, LoraSettings(**{**SHARED, **changes}), say=print)


def main() -> None:
    """Run the stages."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--chooser", default=SCORER, choices=[SCORER, *TASTES])
    parser.add_argument("--judge", action="store_true", help="only compare")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    out = arguments.folder / arguments.chooser.replace(" ", "-")
    out.mkdir(parents=True, exist_ok=True)
    if not arguments.judge:
        draw(arguments.folder)
        if not (out / "pairs.jsonl").exists():
            select(arguments.folder / "train", out, arguments.chooser)
        train(out)
    judges: dict[str, Chooser] = {name: load_scorer(name, device="cpu") for name in (SCORER, HOLDOUT)}
    if arguments.chooser in TASTES:
        judges = {arguments.chooser: Taste(arguments.chooser), **judges}
    judge(out, judges)


if __name__ == "__main__":
    main()
