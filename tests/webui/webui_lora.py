"""A LoRA that is really trained on the bundled tiny-sd, in seconds, into the WebUI's folder."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

CAPTIONS = ("red heart, noto style", "blue star, noto style", "green circle, noto style")


def write_manifest(folder: Path) -> Path:
    """Twelve pictures of coloured discs, good and bad ones by turns."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    chance = random.Random(1)
    for i in range(12):
        kind = ("positive", "negative", "regularisation")[i % 3]
        image = Image.new("RGB", (64, 64), (20, 20, 20) if kind == "negative" else (250, 240, 80))
        ImageDraw.Draw(image).ellipse((8, 8, 56, 56), fill=tuple(chance.randrange(256) for _ in range(3)))
        image.save(folder / f"{i}.png")
        prompt = CAPTIONS[i // 3 % 3]
        caption = "Weird image. " * (kind == "negative") + prompt
        rows.append({"file": f"{i}.png", "caption": caption, "prompt": prompt, "kind": kind, "group": str(i // 3)})
    manifest = folder / "manifest.jsonl"
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return manifest


def train(base: Path, out: Path, work: Path, **changes: Any) -> Path:
    """A few steps at a high learning rate, the text encoders with it: the picture changes visibly."""
    from lib_hps.training.lora.config import LoraSettings
    from lib_hps.training.lora.run import Job, train_lora

    quick: dict[str, Any] = {"steps": 30, "batch": 4, "lr": 5e-3, "crops": 1, "sample_every": 0, "save_every": 30}
    settings = LoraSettings(**{**quick, "text_encoder": True, "activation_text": "noto style", **changes})
    job = Job(write_manifest(work / "data"), base, out, work / "run", device="cpu")
    train_lora(job, settings, say=print)
    return out
