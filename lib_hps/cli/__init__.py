"""The command line: `hps <command>`. Each command is a module here; what is heavy is imported when it runs."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from lib_hps.errors import Cancelled, HpsError

# name -> module with `add_arguments(parser)` and `run(arguments) -> exit code`
COMMANDS = {
    "score": "Score pictures and sort them by human preference",
    "demo": "Open the page on the bundled tiny models, or draw and score without a browser (--auto)",
    "optimize": "Let a scorer rank round after round until the picture is right",
    "render": "Draw a picture again from its infotext, pixel for pixel",
    "serve": "Open the page on your own SD1, SD2 or SDXL checkpoint",
    "select": "Pick good and bad pictures for train-lora, by a scorer or by recorded choices",
    "train-lora": "Train a LoRA on what was preferred, for <lora:name:1>",
    "compare": "The base model beside LoRAs of it: pictures, scores and a blind vote",
    "data": "Preference data: import, export, check, stats, split, merge, browse, collect",
    "train-scorer": "Train a classifier of your own on recorded choices",
    "eval-scorer": "Measure scorers on a set of choices",
    "export-scorer": "Write a trained classifier as HPS v1's .pt, or such a file as a classifier",
    "convert": "Convert a LoRA file: the published adapted_model.bin, diffusers, peft, kohya",
    "doctor": "Say what is installed, which weights are found, and what is missing",
}


def _module(command: str) -> Any:
    return import_module(f"lib_hps.cli.{command.replace('-', '_')}")


def build_parser() -> argparse.ArgumentParser:
    """The parser with all commands."""
    from lib_hps import __version__

    parser = argparse.ArgumentParser(
        prog="hps", description="Human preference for Stable Diffusion: score, rank and learn what you like."
    )
    parser.add_argument("--version", action="version", version=f"hps {__version__}")
    parser.add_argument("--debug", action="store_true", help="show the whole traceback of an error")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, words in COMMANDS.items():
        command = commands.add_parser(name, help=words, description=words + ".")
        _module(name).add_arguments(command)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        0 done; 1 done except for files that were reported; 2 an error, said in one line; 130 stopped by Ctrl-C.
    """
    from lib_hps.cli.output import note

    arguments = build_parser().parse_args(argv)
    try:
        return int(_module(arguments.command).run(arguments))
    except (KeyboardInterrupt, Cancelled) as stop:
        note(f"\nStopped. {stop}".rstrip())
        return 130
    except BrokenPipeError:  # `hps score ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except HpsError as error:
        if arguments.debug:
            raise
        note(f"hps: {' '.join(str(error).split())}")
        return 2
