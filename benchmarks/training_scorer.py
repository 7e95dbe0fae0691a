"""Training a classifier's last blocks: `hps train-scorer` beside the public HPSv2 repository's training loop.

The same model (random weights), choices, batch, trained blocks and threads, one after the other. Images a second count
from the second epoch on; our first pass, which fills the cache of frozen features, is reported apart.

    python -m benchmarks.training_scorer --peer HPSv2 --peer-python peer/bin/python
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from PIL import Image

MODEL = "ViT-B-32"


def make_choices(folder: Path, count: int, side: int) -> Path:
    """Choices of two pictures, in HPD's layout as that repository reads it."""
    rng, rows = np.random.default_rng(0), []
    for number in range(count):
        names = [f"{number}-{place}.jpg" for place in range(2)]
        for name in names:
            levels = rng.integers(0, 256, (side // 8, side // 8, 3), dtype=np.uint8)
            Image.fromarray(levels).resize((side, side), Image.Resampling.BICUBIC).save(folder / name, quality=92)
        rows.append({"human_preference": [number % 2, 1 - number % 2], "prompt": f"a photo, number {number}, of a house"
                     " by the sea in the evening light", "file_path": names})  # fmt: skip
    (folder / "train.json").write_text(json.dumps(rows), encoding="utf-8")
    return folder / "train.json"


def write_weights(folder: Path) -> tuple[Path, Path]:
    """The model for the peer (open_clip's state dict) and for us (a classifier's file)."""
    import torch

    from lib_hps.scoring.classifier_file import ScorerCard, write_classifier
    from lib_hps.scoring.clip.config import ClipConfig, TextConfig, VisionConfig
    from lib_hps.scoring.clip.model import build

    vision = VisionConfig(kind="vit", image_size=224, width=768, layers=12, heads=12, patch_size=32, mlp_width=3072)
    text = TextConfig(vocab_size=49408, context_length=77, width=512, layers=12, heads=8, mlp_width=2048)
    config = ClipConfig(embed_dim=512, vision=vision, text=text, quick_gelu=False)
    state = build(config, seed=0).state_dict()
    torch.save(state, folder / "model.pt")
    return folder / "model.pt", write_classifier(
        folder / "model.safetensors", state, config=config, card=ScorerCard(name="random")
    )


def ours(arguments: argparse.Namespace) -> None:
    """One run of `hps train-scorer` in this process; prints the times of its steps and its peak memory."""
    import torch

    from lib_hps.training import logs
    from lib_hps.training.scorer_config import ScorerConfig
    from lib_hps.training.scorer_training import train_scorer

    torch.set_num_threads(arguments.threads)
    times: list[float] = []
    step = logs.TrainingLog.step

    def timed(self: logs.TrainingLog, *figures: Any) -> None:
        times.append(time.perf_counter())
        step(self, *figures)

    logs.TrainingLog.step = timed  # type: ignore[method-assign]
    config = ScorerConfig(
        base=str(arguments.weights), method="blocks", loss="softmax", validation_share=0.0, test_share=0.0,
        image_blocks=arguments.image_blocks, text_blocks=arguments.text_blocks, batch=arguments.batch,
        epochs=float(arguments.epochs), device="cpu", layout="hpdv2",
    )  # fmt: skip
    work = Path(arguments.weights).parent
    begun = time.perf_counter()
    train_scorer(Path(arguments.data), work / "out.safetensors", work / "run", config)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"begun": begun, "times": times, "peak_kib": peak}))


def run(command: list[str], path: str, folder: Path) -> dict[str, Any]:
    """What a process prints last."""
    environment = {**os.environ, "PYTHONPATH": path, "XDG_CACHE_HOME": str(folder / "cache")}
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr[-3000:])
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer", type=Path, help="a checkout of the HPSv2 repository")
    parser.add_argument("--peer-python", default=sys.executable)
    parser.add_argument("--data")
    parser.add_argument("--weights")
    for name, value in (("choices", 32), ("side", 512), ("batch", 8), ("epochs", 3), ("image-blocks", 2),
                        ("text-blocks", 1), ("threads", os.cpu_count() or 1), ("workers", 1)):  # fmt: skip
        parser.add_argument(f"--{name}", type=int, default=value)
    arguments = parser.parse_args()
    if arguments.data:
        ours(arguments)
        return
    each = arguments.choices // arguments.batch
    root = str(Path(__file__).parents[1])
    shared = [f"--batch={arguments.batch}", f"--threads={arguments.threads}"]
    shared += [f"--image-blocks={arguments.image_blocks}", f"--text-blocks={arguments.text_blocks}"]
    with TemporaryDirectory(prefix="hps-") as name:
        folder = Path(name)
        data = make_choices(folder, arguments.choices, arguments.side)
        state, classifier = write_weights(folder)
        peer_file = str(Path(__file__).with_name("training_peer.py"))
        more = [f"--data={data}", f"--images={folder}", f"--model={MODEL}", f"--weights={state}"]
        more += [f"--steps={each * arguments.epochs}", f"--workers={arguments.workers}"]
        command = [sys.executable, "-m", "benchmarks.training_scorer", f"--data={data}", f"--weights={classifier}"]
        mine = run([*command, *shared, f"--epochs={arguments.epochs}"], root, folder)
        theirs = run([arguments.peer_python, peer_file, *shared, *more], str(arguments.peer), folder)
    images = 2 * arguments.batch
    later = mine["times"][each - 1 :]  # ends of steps, from the end of the first epoch on
    ours_rate = images * (len(later) - 1) / (later[-1] - later[0])
    first = images * each / (mine["times"][each - 1] - mine["begun"])
    later = theirs["times"][each:]  # beginnings of steps, from the second epoch on
    peer_rate = images * (len(later) - 1) / (later[-1] - later[0])
    print(f"images/s from the second epoch on: {ours_rate:.2f}, theirs {peer_rate:.2f}: {ours_rate / peer_rate:.2f} x")
    print(f"images/s of our first epoch with reading, loading and filling the cache: {first:.2f}")
    peaks = [found["peak_kib"] / 2**20 for found in (mine, theirs)]
    print(f"peak memory: {peaks[0]:.2f} GiB, theirs {peaks[1]:.2f} GiB with its worker: {peaks[0] / peaks[1]:.2f} x")


if __name__ == "__main__":
    main()
