"""`hps doctor`: what is installed, what it can do here, and what to do about what is missing."""

from __future__ import annotations

import argparse
import platform
from importlib import metadata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lib_hps.scoring import ScorerInfo

_PACKAGES = (
    "torch",
    "diffusers",
    "transformers",
    "accelerate",
    "gradio",
    "open_clip_torch",
    "safetensors",
    "pillow",
    "numpy",
)
_FOR = {
    "diffusers": "hps demo and hps serve",
    "transformers": "hps demo and hps serve",
    "gradio": "hps demo and hps serve",
    "torch": "everything",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    from lib_hps.cli import trainer_setup

    parser.add_argument("--weights-dir", metavar="FOLDER", help="another folder to look for weights in")
    trainer_setup.add_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the report; 0 if the bundled demo (with --trainer: the trainer) can run, else 1."""
    from lib_hps import __version__
    from lib_hps.cli import trainer_setup
    from lib_hps.cli.output import say

    if arguments.trainer:
        return trainer_setup.run(arguments)
    say(f"sd-webui-hps {__version__}, Python {platform.python_version()}, {platform.platform()}")
    advice = _packages()
    advice += _device() if not any("torch" in line for line in advice) else []
    advice += _models(arguments.weights_dir)
    say("\nAll is well." if not advice else "\nAdvice:")
    for line in advice:
        say(f"  - {line}")
    return 1 if advice else 0


def _packages() -> list[str]:
    from lib_hps.cli.output import say

    say("\nPackages")
    advice = []
    for name in _PACKAGES:
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            version = "not installed"
            if name in _FOR:
                advice.append(f'{name} is needed for {_FOR[name]}: pip install "sd-webui-hps[standalone]"')
        say(f"  {name:<16} {version}")
    return advice


def _device() -> list[str]:
    import os

    import torch

    from lib_hps.cli.output import say

    say("\nDevice")
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            found = torch.cuda.get_device_properties(index)
            say(f"  cuda:{index}  {found.name}, {found.total_memory / 2**30:.1f} GiB")
    elif torch.backends.mps.is_available():
        say("  mps")
    else:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        say(f"  cpu, {cores} cores (torch uses {torch.get_num_threads()} threads)")
    return []


def _models(weights_dir: str | None) -> list[str]:
    from lib_hps.cli.output import say
    from lib_hps.diffusion.bundled import tiny_checkpoint
    from lib_hps.scoring import list_scorers

    advice = []
    say("\nModels")
    checkpoint = tiny_checkpoint()
    say(f"  tiny-sd          {checkpoint or 'missing'}")
    if checkpoint is None:
        advice.append(
            "The bundled picture model is missing: install sd-webui-hps again, or use hps serve --checkpoint FILE."
        )
    say("\nScorers")
    for info in list_scorers(weights_dir):
        say(f"  {info.name:<16} {_state(info)}")
        if info.name.startswith("tiny-") and not info.is_available:
            advice.append(f"The bundled scorer {info.name} is missing: install sd-webui-hps again.")
    return advice


def _state(info: ScorerInfo) -> str:
    if info.is_available:
        return str(info.path or "ready")
    if info.is_downloadable:
        return "downloaded at first use"
    return "missing" if info.name.startswith("tiny-") else f"to be had from {info.source}"
