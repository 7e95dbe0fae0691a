"""`hps serve`: the page on a checkpoint of your own."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_lora_dir(parser: argparse.ArgumentParser) -> None:
    """The option of every command that draws from prompts."""
    parser.add_argument(
        "--lora-dir", type=Path, metavar="FOLDER", help="where <lora:name:1> in a prompt is looked for (models/Lora)"
    )


def add_page_arguments(parser: argparse.ArgumentParser) -> None:
    """Options that every command which opens the page shares."""
    parser.add_argument("--port", type=int, help="port of the page (default: the first free one from 7860)")
    parser.add_argument("--listen", action="store_true", help="let other machines in (default: this one only)")
    parser.add_argument("--scorer", help="the scorer that is chosen at first (default tiny-hps)")
    parser.add_argument(
        "--outputs",
        type=Path,
        default=Path("outputs"),
        metavar="FOLDER",
        help="where pictures are kept (default ./outputs)",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps")
    parser.add_argument(
        "--dtype",
        default="auto",
        choices=["auto", "float32", "float16", "bfloat16"],
        help="precision of the picture model",
    )
    add_lora_dir(parser)
    parser.add_argument("--no-browser", action="store_true", help="do not open a browser window")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument(
        "--checkpoint", type=Path, required=True, metavar="FILE", help="an SD1, SD2 or SDXL single file (.safetensors)"
    )
    add_page_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Open the page and stay until Ctrl-C."""
    from lib_hps.cli.output import note
    from lib_hps.hosts.standalone.server import ServerOptions, serve

    serve(ServerOptions.of(arguments, checkpoint=arguments.checkpoint), say=note)
    return 0
