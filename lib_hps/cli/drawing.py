"""The options of commands that draw pictures: how, and who."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from lib_hps.errors import InputError

if TYPE_CHECKING:
    from lib_hps.training.selection.drawing import Artist, Look

TINY = "tiny-sd"


def add_arguments(parser: argparse.ArgumentParser, *, has_webui: bool = True, seeds: int = 8) -> None:
    """Declare them."""
    group = parser.add_argument_group("drawing (with --prompts)")
    add = group.add_argument
    add("--seeds", type=int, default=seeds, help="pictures of each prompt (default %(default)s)")
    add("--checkpoint", metavar="FILE", help=f"the model (default {TINY}; with --webui: what is loaded there)")
    add("--negative", default="", help="negative prompt")
    add("--steps", type=int, default=20, help="sampler steps (default %(default)s)")
    add("--cfg", type=float, default=7.0, help="guidance scale (default %(default)s)")
    add("--sampler", default="DPM++ 2M Karras", help="default %(default)s")
    add("--size", type=int, metavar="PX", help="side of the squares (default: the model's own)")
    if has_webui:
        add("--webui", metavar="URL", help="let this WebUI draw (started with --api), such as http://127.0.0.1:7860")
        add("--webui-login", metavar="USER:PASSWORD", help="its --api-auth")


def look_of(arguments: argparse.Namespace) -> Look:
    """What was asked for.

    Raises:
        InputError: a value out of range.
    """
    from lib_hps.training.selection.drawing import Look

    if arguments.seeds < 1 or arguments.seeds > 1000:
        raise InputError(f"--seeds is {arguments.seeds}; give 1 to 1000.")
    return Look(arguments.negative, arguments.steps, arguments.cfg, arguments.sampler, arguments.size)


def artist_of(arguments: argparse.Namespace) -> Artist:
    """Who draws.

    Raises:
        InputError, WeightsError: the WebUI does not answer, or the model cannot be loaded.
    """
    if arguments.webui:
        from lib_hps.training.selection.webui import WebUIArtist

        return WebUIArtist(arguments.webui, login=arguments.webui_login, checkpoint=arguments.checkpoint)
    from lib_hps.diffusion.pipeline import load_pipeline
    from lib_hps.training.selection.drawing import PipelineArtist

    return PipelineArtist(load_pipeline(checkpoint_of(arguments.checkpoint), arguments.device))


def checkpoint_of(name: str | None) -> Path:
    """The file of `--checkpoint`.

    Raises:
        WeightsError: the bundled model is missing.
    """
    from lib_hps.diffusion.bundled import require_tiny_checkpoint

    return require_tiny_checkpoint() if name in (None, TINY) else Path(name)
