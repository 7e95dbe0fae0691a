"""`hps export-scorer`: a trained classifier as HPS v1's .pt, and back."""

from __future__ import annotations

import argparse
from pathlib import Path

from lib_hps.errors import InputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("source", type=Path, help="a classifier (.safetensors), or a checkpoint (.pt)")
    parser.add_argument("target", type=Path, help=".pt for HPS v1's format, .safetensors for a classifier")
    parser.add_argument(
        "--like", default="hps-v1", help="whose tokenizer and preprocessing a .pt has (default %(default)s)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Convert by the target's ending."""
    from lib_hps.cli.output import say
    from lib_hps.training.scorer_export import from_hps_v1, to_hps_v1

    source, target = arguments.source, arguments.target
    if target.suffix == ".pt":
        say(str(to_hps_v1(source, target)))
    elif target.suffix == ".safetensors":
        say(str(from_hps_v1(source, target, like=arguments.like)))
    else:
        raise InputError(f"{target} ends neither in .pt nor in .safetensors, so its format is not known.")
    return 0
