"""Images per second and peak memory of scoring, side by side on the same random weights, as a Markdown table.

    python benchmarks/scoring.py [--arch small|ViT-L-14|ViT-H-14] [--images 64] [--batch 1 8 64] [--device cuda]

Every figure comes from a process of its own (the peak memory is that process's), after a warm-up of one batch, the best
of `--repeats` runs over all pictures. hpsv2.score reads the weights at every call: that is part of what it is. Peers
that cannot be imported are left out with the reason; they are easiest in an environment of their own, with this
repository on PYTHONPATH. On a GPU a last column says how much of the measured matrix peak the image tower reaches.
"""

from __future__ import annotations

import argparse
import datetime
import json
import logging
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from scoring_cases import CASES, ROOT, flops_per_image, write_weights

MATRIX = 8192


def write_pictures(folder: Path, count: int, size: int, suffix: str) -> list[Path]:
    """Smooth colour with some grain: compresses about as generated pictures do."""
    rng = np.random.default_rng(0)
    paths = [folder / f"{number:05}.{suffix}" for number in range(count)]
    for path in paths:
        small = Image.fromarray(rng.integers(0, 256, (12, 12, 3), dtype=np.uint8))
        smooth = np.asarray(small.resize((size, size), Image.Resampling.BICUBIC), dtype=np.int16)
        grain = rng.integers(-6, 7, smooth.shape, dtype=np.int16)
        Image.fromarray(np.clip(smooth + grain, 0, 255).astype(np.uint8)).save(path)
    return paths


def synchronise(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def matrix_peak(device: str, dtype: torch.dtype) -> float:
    """FLOP/s of a large square product in `dtype`: what this device really reaches."""
    a, b = (torch.randn(MATRIX, MATRIX, device=device, dtype=dtype) for _ in range(2))
    best = float("inf")
    for _ in range(20):
        synchronise(device)
        start = time.perf_counter()
        torch.mm(a, b)
        synchronise(device)
        best = min(best, time.perf_counter() - start)
    return 2.0 * MATRIX**3 / best


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """One figure, in this process."""
    factory, mode, _ = CASES[options.case]
    device, dtype = options.device, getattr(torch, options.dtype)
    paths = sorted((options.work / "pictures").iterdir())
    images: Any = paths
    if options.source == "tensors":
        arrays = [np.array(Image.open(path).convert("RGB")) for path in paths]
        images = torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2).to(device).float() / 255
    weights = next(options.work.glob("*.pt"))
    score = factory(options.arch, weights, device, dtype, options.batch[0], mode)
    scores = score(images[: options.warm_up or options.batch[0]])
    seconds = []
    for _ in range(options.repeats):
        synchronise(device)
        start = time.perf_counter()
        scores = score(images)
        synchronise(device)
        seconds.append(time.perf_counter() - start)
    if device.startswith("cuda"):
        peak = torch.cuda.max_memory_allocated()
    else:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return {"rate": len(paths) / min(seconds), "peak_mb": peak / 2**20, "score": float(np.mean(scores))}


def run_case(case: str, source: str, batch: int, work: Path, options: argparse.Namespace) -> dict[str, Any]:
    """`measure` in a fresh process; {"reason": ...} where it fails."""
    command = [sys.executable, __file__, "--case", case, "--source", source, "--batch", str(batch), "--work", str(work)]
    for name in ("arch", "device", "dtype", "repeats", "warm_up"):
        command += [f"--{name.replace('_', '-')}", str(getattr(options, name))]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    lines = done.stdout.strip().splitlines()
    if done.returncode == 0 and lines:
        return dict(json.loads(lines[-1]))
    return {"reason": (done.stderr.strip().splitlines() or ["no output"])[-1][:200]}


def table(options: argparse.Namespace, work: Path) -> list[str]:
    is_gpu = options.device.startswith("cuda")
    peak = matrix_peak(options.device, getattr(torch, options.dtype)) if is_gpu else 0.0
    rows = ["| from | batch | what | images/s | peak MB | mean score |" + (" of peak |" if is_gpu else "")]
    rows.append("|---|---|---|---|---|---|" + ("---|" if is_gpu else ""))
    skipped: dict[str, str] = {}
    for source in options.sources:
        for batch in options.batch:
            for case, (_, _, sources) in CASES.items():
                if source not in sources or case in skipped or not any(part in case for part in options.only):
                    continue
                logging.info("%s, batch %d, %s", source, batch, case)
                result = run_case(case, source, batch, work, options)
                if "reason" in result:
                    skipped[case] = result["reason"]
                    continue
                row = f"| {source} | {batch} | {case} | {result['rate']:.3g} | {result['peak_mb']:.0f} "
                row += f"| {result['score']:.4f} |"
                share = result["rate"] * flops_per_image(options.arch) / peak if is_gpu else 0
                rows.append(row + (f" {share:.0%} |" if is_gpu else ""))
    if is_gpu:
        rows += ["", f"Matrix peak of {options.dtype}: {peak / 1e12:.0f} TFLOP/s ({MATRIX} squared)."]
    return [*rows, *(f"\n{case}: left out ({reason})." for case, reason in skipped.items())]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arch", default="small", help="small, or an open_clip name such as ViT-H-14")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--dtype", default=None, help="default: bfloat16 on a GPU, float32 on a CPU")
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 8, 64])
    parser.add_argument("--sources", nargs="+", choices=["files", "tensors"], default=["files", "tensors"])
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--size-px", type=int, default=512)
    parser.add_argument("--format", choices=["png", "jpg", "webp"], default="png")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--warm-up", type=int, default=0, help="pictures scored before the clock starts; 0: a batch")
    parser.add_argument("--only", nargs="+", default=[""], metavar="TEXT", help="rows whose name holds one of these")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    parser.add_argument("--source", help=argparse.SUPPRESS)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.dtype = options.dtype or ("bfloat16" if options.device.startswith("cuda") else "float32")
    if options.case:
        print(json.dumps(measure(options)))
        return
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    with tempfile.TemporaryDirectory(prefix="hps-bench-") as folder:
        work = Path(folder)
        (work / "pictures").mkdir()
        write_pictures(work / "pictures", options.images, options.size_px, options.format)
        write_weights(options.arch, work)
        device = torch.cuda.get_device_name() if options.device.startswith("cuda") else platform.processor() or "CPU"
        print(f"{options.arch}, {options.dtype}, {options.images} {options.format} of {options.size_px} px, {device}, ")
        print(f"{torch.get_num_threads()} threads, torch {torch.__version__}, {datetime.date.today()}\n")
        print("\n".join(table(options, work)))


if __name__ == "__main__":
    main()
