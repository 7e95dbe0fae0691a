"""Does the LoRA raise the held-out score on unseen prompts? tiny-sd draws, tiny-hps chooses, tiny-holdout judges.

    python benchmarks/lora_gain.py FOLDER            # everything; what is there already is not made again
    python benchmarks/lora_gain.py FOLDER --judge    # only the comparison of what was trained

200 prompts x 8 pictures are drawn with the settings that users have, good and bad (guidance 1.5 to 4, 6 to 12 steps),
and selected as the paper does (arXiv 2303.14420). Three LoRAs are trained with the same batch and rank, and each draws
the 150 prompts that nobody trained on, two seeds each, paired with the base, at weak and at usual guidance.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw

from lib_hps.diffusion.bundled import HOLDOUT, SCORER, require_tiny_checkpoint
from lib_hps.diffusion.lora import LoraModel, LoraUse
from lib_hps.diffusion.request import GenerationRequest
from lib_hps.infotext import png_info
from lib_hps.scoring import load_scorer
from lib_hps.training.lora.base import BaseModel, load_base
from lib_hps.training.lora.config import NEGATIVE_TEXT, LoraSettings
from lib_hps.training.lora.run import Job, train_lora
from lib_hps.training.selection.picking import pick

PROMPTS = [line for line in (Path(__file__).parent / "lora_prompts.txt").read_text("utf-8").splitlines() if line]
TRAIN, TEST = PROMPTS[:200], PROMPTS[300:]  # those between are for tuning
TEST_SEEDS = 2
SIZE = {"width": 64, "height": 64}
SETTINGS = ({"steps": 12, "cfg": 4.0}, {"steps": 12, "cfg": 2.5}, {"steps": 12, "cfg": 1.5}, {"steps": 6, "cfg": 4.0})
EACH = 2  # pictures of each setting
GROUP = EACH * len(SETTINGS)
GUIDANCE = (2.0, 4.0)  # of the test pictures
SHARED: dict[str, Any] = {
    "batch": 16, "rank": 16, "crops": 1, "schedule": "cosine", "save_every": 50,
    "sample_every": 0, "sample_cfg": 4.0, "sample_steps": 12,
}  # fmt: skip
RUNS: dict[str, dict[str, Any]] = {
    "hps": {"objective": "hps", "steps": 300, "lr": 5e-4, "ratio": "2:1:1"},
    "regularisation-only": {"objective": "regularisation-only", "steps": 300, "lr": 5e-4},
    "dpo": {"objective": "dpo", "steps": 300, "lr": 1e-3, "beta": 2000.0},
}
NEGATIVE_BASE = "base, negative"
COMPARISONS = (
    ("hps", "base"), ("hps", "regularisation-only"), ("dpo", "base"), ("dpo", "regularisation-only"),
    ("regularisation-only", "base"), (NEGATIVE_BASE, "base"),
)  # fmt: skip


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


def select(folder: Path) -> None:
    """`manifest.jsonl` by the paper's rule, with half of every group as regularisation, and `pairs.jsonl`."""
    scorer, chance = load_scorer(SCORER, device="cpu"), np.random.default_rng(0)
    rows, pairs = [], []
    for number, prompt in enumerate(TRAIN):
        files = sorted((folder / "train" / f"{number:03d}").glob("*.png"))
        scores = scorer.score(files, prompt)
        shared = {"prompt": prompt, "group": str(number)}
        rows += [one.row() for one in pick(str(number), [(file, prompt) for file in files], scores, sharpness=100)]
        for at in chance.permutation(len(files))[: GROUP // 2]:
            rows.append({**shared, "file": str(files[at]), "caption": prompt, "kind": "regularisation"})
        order = np.argsort(scores)
        for better, worse in ((7, 0), (6, 1), (7, 1), (6, 0)):
            ends = {"winner": str(files[order[better]]), "loser": str(files[order[worse]])}
            pairs.append({"prompt": prompt, **ends})
    for name, content in (("manifest", rows), ("pairs", pairs)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in content))


def train(folder: Path) -> None:
    """The three LoRAs."""
    for name, changes in RUNS.items():
        out = folder / "loras" / f"{name}.safetensors"
        if out.exists():
            continue
        manifest = folder / ("pairs.jsonl" if name == "dpo" else "manifest.jsonl")
        job = Job(manifest, require_tiny_checkpoint(), out, folder / "runs" / name, device="cpu")
        train_lora(job, LoraSettings(**{**SHARED, **changes}), say=print)


def drawn_by(base: BaseModel, lora: Path | None, negative: str, cfg: float) -> Iterator[Image.Image]:
    """Every test prompt with every test seed."""
    model, pipeline = LoraModel(base.unet, [tower.model for tower in base.towers]), base.pipeline()
    with model.applied([] if lora is None else [LoraUse(lora)]):
        for number, prompt in enumerate(TEST):
            request = GenerationRequest(
                prompt,
                negative,
                seed=500_000 + 1000 * number,
                count=TEST_SEEDS,
                batch_size=TEST_SEEDS,
                steps=12,
                cfg=cfg,
                **SIZE,
            )
            yield from (picture.image for picture in pipeline.generate(request))


def test_set(folder: Path, base: BaseModel, name: str, cfg: float) -> list[Image.Image]:
    """The test pictures of one model, kept in `folder/test`."""
    files = [folder / "test" / f"cfg{cfg:.0f}" / name / f"{i:04d}.png" for i in range(len(TEST) * TEST_SEEDS)]
    if not files[-1].exists():
        lora = folder / "loras" / f"{name}.safetensors" if name in RUNS else None
        files[0].parent.mkdir(parents=True, exist_ok=True)
        negative = NEGATIVE_TEXT if name in ("hps", NEGATIVE_BASE) else ""  # the others and the base without
        for file, picture in zip(files, drawn_by(base, lora, negative, cfg), strict=True):
            picture.save(file)
    return [Image.open(file).convert("RGB") for file in files]


def judge(folder: Path) -> None:
    """Draw, score, compare, and lay the sheets."""
    base = load_base(require_tiny_checkpoint(), device="cpu")
    prompts = [prompt for prompt in TEST for _ in range(TEST_SEEDS)]
    found: dict[str, dict[str, float]] = {}
    print(f"{len(prompts)} pictures of {len(TEST)} prompts, paired; differences in standard deviations of the base")
    for cfg in GUIDANCE:
        drawn = {name: test_set(folder, base, name, cfg) for name in ("base", NEGATIVE_BASE, *RUNS)}
        for name in (SCORER, HOLDOUT):
            scorer = load_scorer(name, device="cpu")
            scores = {model: scorer.score(pictures, prompts) for model, pictures in drawn.items()}
            found |= _compared(f"CFG {cfg}, {name}", scores)
        lay_sheet(folder / f"lora-cfg{cfg:.0f}.png", {name: drawn[name] for name in ("base", *RUNS)})
    (folder / "gain.json").write_text(json.dumps(found, indent=1))


def _compared(title: str, scores: dict[str, np.ndarray]) -> dict[str, dict[str, float]]:
    found = {}
    for first, second in COMPARISONS:
        gain = gain_of(scores[first], scores[second], float(scores["base"].std()))
        found[f"{title}: {first} - {second}"] = gain
        interval = f"{gain['gain']:+.3f} [{gain['low']:+.3f}, {gain['high']:+.3f}]"
        print(f"{title:<22} {first:>20} - {second:<20} {interval}, better in {gain['share']:.0%}, t = {gain['t']:.1f}")
    return found


def gain_of(first: np.ndarray, second: np.ndarray, unit: float) -> dict[str, float]:
    """Mean paired difference with its 95 % interval; prompts are the units."""
    each = ((first - second) / unit).reshape(-1, TEST_SEEDS).mean(axis=1)
    mean, error = float(each.mean()), float(each.std(ddof=1) / math.sqrt(len(each)))
    share = float(((first > second) + 0.5 * (first == second)).mean())
    return {"gain": mean, "low": mean - 1.96 * error, "high": mean + 1.96 * error, "t": mean / error, "share": share}


def lay_sheet(path: Path, rows: dict[str, list[Image.Image]], *, columns: int = 12, side: int = 80) -> None:
    """The first pictures of the first test prompts, chosen by nobody: one row for each model."""
    page = Image.new("RGB", (150 + columns * side, len(rows) * side + 4), "white")
    pen = ImageDraw.Draw(page)
    for down, (name, pictures) in enumerate(rows.items()):
        pen.text((6, down * side + side // 2 - 6), name, fill="black")
        for across, picture in enumerate(pictures[::TEST_SEEDS][:columns]):
            page.paste(
                picture.resize((side - 2, side - 2), Image.Resampling.LANCZOS), (150 + across * side, down * side)
            )
    page.save(path, optimize=True)


def main() -> None:
    """Run the stages."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--judge", action="store_true", help="only compare")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if not arguments.judge:
        draw(arguments.folder)
        if not (arguments.folder / "pairs.jsonl").exists():
            select(arguments.folder)
        train(arguments.folder)
    judge(arguments.folder)


if __name__ == "__main__":
    main()
