"""`hps train-lora`: selected pictures in, a LoRA for `<lora:name:1>` out."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

_TINY = "tiny-sd"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options: one for every setting."""
    from lib_hps.training.config import add_flags
    from lib_hps.training.lora.config import LoraSettings

    parser.add_argument(
        "manifest", type=Path, help="JSONL of hps select; for dpo also pairs, or a folder of recorded choices"
    )
    parser.add_argument("--base", required=True, metavar="FILE", help=f"the checkpoint to adapt, or {_TINY}")
    parser.add_argument(
        "--out", required=True, metavar="NAME", help="the LoRA's name (in --lora-dir), or a path with .safetensors"
    )
    parser.add_argument(
        "--lora-dir",
        type=Path,
        metavar="FOLDER",
        help="where it goes (default: models/Lora of $SD_WEBUI_ROOT, else ./loras)",
    )
    parser.add_argument(
        "--run-dir",
        type=Path,
        metavar="FOLDER",
        help="of state, log, samples; a killed run goes on (default: runs/NAME)",
    )
    parser.add_argument("--vae", type=Path, metavar="FILE", help="another autoencoder")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps")
    add_flags(parser, LoraSettings)


def run(arguments: argparse.Namespace) -> int:
    """Train; 1 where pictures had to be left out."""
    from lib_hps.cli.output import note, say
    from lib_hps.diffusion.bundled import require_tiny_checkpoint
    from lib_hps.training.config import from_arguments
    from lib_hps.training.lora.config import LoraSettings
    from lib_hps.training.lora.run import Job, train_lora

    settings = from_arguments(LoraSettings, arguments)
    base = require_tiny_checkpoint() if arguments.base == _TINY else Path(arguments.base)
    out = _target(arguments.out, arguments.lora_dir)
    folder = arguments.run_dir or Path("runs") / out.stem
    job = Job(arguments.manifest, base, out, folder, arguments.vae, arguments.device)
    done = train_lora(job, settings, say=note)
    if done.path is None:
        return 0
    early = " (stopped early: the held-out score fell)" if done.result.stopped_early else ""
    best = f", the best of them, step {done.result.best_step}" if done.result.best_step else ""
    note(f"{done.result.step} steps{early}{best}. The check picture moves by {done.distance:.1f} of 255 levels.")
    say(str(done.path))
    return 1 if done.left_out else 0


def _target(name: str, lora_dir: Path | None) -> Path:
    if name.endswith(".safetensors"):
        return Path(name)
    root = os.environ.get("SD_WEBUI_ROOT")
    return (lora_dir or (Path(root) / "models" / "Lora" if root else Path("loras"))) / f"{name}.safetensors"
