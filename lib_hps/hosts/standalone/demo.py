"""`hps demo --auto`: several prompts, several seeds, scored and laid out in a report; no browser needed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lib_hps.diffusion.bundled import HOLDOUT, SCORER, require_tiny_checkpoint
from lib_hps.diffusion.request import GenerationRequest
from lib_hps.errors import WeightsError
from lib_hps.files import atomic_write
from lib_hps.hosts.standalone.outputs import save_pictures
from lib_hps.hosts.standalone.studio import Ranked
from lib_hps.sheet import write_sheet

if TYPE_CHECKING:
    import numpy as np

    from lib_hps.scoring import Scorer

PROMPTS = (
    "red heart, noto style",
    "blue heart, 3d style",
    "cat face, noto style",
    "panda, twemoji style",
    "smiling face with sunglasses, noto style",
    "rainbow, twemoji style",
)


@dataclass(frozen=True)
class Report:
    """What a demo run left on disk."""

    html: Path
    scores: Path
    pictures: int
    seconds: float


def run_demo(
    out: Path,
    *,
    prompts: Sequence[str] = PROMPTS,
    seeds: int = 8,
    scorer: str = SCORER,
    holdout: str = HOLDOUT,
    checkpoint: Path | None = None,
    device: str = "auto",
    lora_dir: Path | None = None,
    steps: int = 20,
    on_picture: Callable[[], object] = lambda: None,
) -> Report:
    """Draw `seeds` pictures of each prompt, sort them by `scorer`, and write pictures, scores.jsonl and report.html.

    A held-out scorer is reported beside the one that orders, where it is installed: no score is trusted alone.

    Raises:
        HpsError: a model or a scorer cannot be loaded, or the folder cannot be written.
    """
    from lib_hps.diffusion.pipeline import load_pipeline
    from lib_hps.scoring import load_scorer

    began = time.monotonic()
    pipeline = load_pipeline(checkpoint or require_tiny_checkpoint(), device, lora_dir=lora_dir)
    judge = load_scorer(scorer, device=device)
    second = _optional(holdout, device)
    side = pipeline.native_side_px
    rows: list[dict[str, object]] = []
    for number, prompt in enumerate(prompts, 1):
        request = GenerationRequest(
            prompt, steps=steps, cfg=4.0, width=side, height=side, seed=1, batch_size=min(4, seeds), count=seeds
        )
        drawn = []
        for picture in pipeline.generate(request):
            drawn.append(picture)
            on_picture()
        images = [picture.image for picture in drawn]
        scores = judge.score(images, prompt if judge.needs_prompt else None)
        ranked = sorted(
            (Ranked(picture, float(score)) for picture, score in zip(drawn, scores, strict=True)),
            key=lambda one: -one.score,
        )
        saved = save_pictures(out / f"{number:02d}", ranked, scorer=judge.name, total=len(ranked))
        others: Sequence[float] | np.ndarray = (
            second.score([one.picture.image for one in ranked], prompt if second.needs_prompt else None)
            if second
            else []
        )
        for index, one in enumerate(saved):
            file = one.path.relative_to(out).as_posix()
            row: dict[str, object] = {
                "file": file,
                "prompt": prompt,
                "scorer": judge.name,
                "score": round(one.score, 6),
                "rank": one.rank,
            }
            rows.append(row | ({second.name: round(float(others[index]), 6)} if second else {}))
    with atomic_write(out / "scores.jsonl", "w") as stream:
        stream.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    placed = [{**row, "file": str(out / str(row["file"]))} for row in rows]
    html = write_sheet(
        out / "report.html", placed, title="hps demo: drawn, scored, sorted", other=second.name if second else None
    )
    return Report(html, out / "scores.jsonl", len(rows), time.monotonic() - began)


def _optional(name: str, device: str) -> Scorer | None:
    from lib_hps.scoring import load_scorer

    try:
        return load_scorer(name, device=device)
    except WeightsError:
        return None
