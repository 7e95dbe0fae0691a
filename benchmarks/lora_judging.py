"""Judges what benchmarks/lora_gain.py trained: test pictures of each model, paired with the base's, and a sheet."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from benchmarks.lora_choosers import Chooser
from lib_hps.diffusion.bundled import require_tiny_checkpoint
from lib_hps.diffusion.lora import LoraModel, LoraUse
from lib_hps.diffusion.request import GenerationRequest
from lib_hps.training.lora.base import BaseModel, load_base
from lib_hps.training.lora.config import NEGATIVE_TEXT

PROMPTS = [line for line in (Path(__file__).parent / "lora_prompts.txt").read_text("utf-8").splitlines() if line]
TRAIN, TEST = PROMPTS[:200], PROMPTS[300:]  # those between are for tuning
TEST_SEEDS = 2
SIZE = {"width": 64, "height": 64}
GUIDANCE = (2.0, 4.0)  # of the test pictures
LORAS = ("hps", "regularisation-only", "dpo")
NEGATIVE_BASE = "base, negative"
COMPARISONS = (
    ("hps", "base"), ("hps", "regularisation-only"), ("dpo", "base"), ("dpo", "regularisation-only"),
    ("regularisation-only", "base"), (NEGATIVE_BASE, "base"),
)  # fmt: skip


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
    """The test pictures of one model, kept in `folder/test`; those without a LoRA beside it, for every chooser."""
    home = folder if name in LORAS else folder.parent
    files = [home / "test" / f"cfg{cfg:.0f}" / name / f"{i:04d}.png" for i in range(len(TEST) * TEST_SEEDS)]
    if not files[-1].exists():
        lora = folder / "loras" / f"{name}.safetensors" if name in LORAS else None
        files[0].parent.mkdir(parents=True, exist_ok=True)
        negative = NEGATIVE_TEXT if name in ("hps", NEGATIVE_BASE) else ""  # the others and the base without
        for file, picture in zip(files, drawn_by(base, lora, negative, cfg), strict=True):
            picture.save(file)
    return [Image.open(file).convert("RGB") for file in files]


def judge(folder: Path, judges: dict[str, Chooser]) -> None:
    """Draw, score by every judge, compare, and lay the sheets."""
    base = load_base(require_tiny_checkpoint(), device="cpu")
    prompts = [prompt for prompt in TEST for _ in range(TEST_SEEDS)]
    found: dict[str, dict[str, float]] = {}
    print(f"{len(prompts)} pictures of {len(TEST)} prompts, paired; differences in standard deviations of the base")
    for cfg in GUIDANCE:
        drawn = {name: test_set(folder, base, name, cfg) for name in ("base", NEGATIVE_BASE, *LORAS)}
        for name, judged_by in judges.items():
            scores = {model: judged_by.score(pictures, prompts) for model, pictures in drawn.items()}
            found |= _compared(f"CFG {cfg}, {name}", scores)
        lay_sheet(folder / f"lora-cfg{cfg:.0f}.png", {name: drawn[name] for name in ("base", *LORAS)})
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
