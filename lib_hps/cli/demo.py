"""`hps demo`: the bundled models, as a page or without a browser."""

from __future__ import annotations

import argparse
from pathlib import Path

from lib_hps.cli.serve import add_page_arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("--auto", action="store_true", help="draw and score a few prompts without a browser")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("hps-demo"),
        metavar="FOLDER",
        help="with --auto: where to write (default ./hps-demo)",
    )
    parser.add_argument(
        "--seeds", type=int, default=8, help="with --auto: pictures of each prompt (default %(default)s)"
    )
    parser.add_argument(
        "--prompt", action="append", help="with --auto: a prompt in place of the built-in ones; may be repeated"
    )
    add_page_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run the demo."""
    from lib_hps.diffusion.bundled import require_tiny_checkpoint

    if arguments.auto:
        return _auto(arguments)
    from lib_hps.cli.output import note
    from lib_hps.hosts.standalone.server import ServerOptions, serve

    serve(ServerOptions.of(arguments, checkpoint=require_tiny_checkpoint()), say=note)
    return 0


def _auto(arguments: argparse.Namespace) -> int:
    from tqdm import tqdm

    from lib_hps.cli.output import say
    from lib_hps.diffusion.bundled import SCORER
    from lib_hps.hosts.standalone.demo import PROMPTS, run_demo

    prompts = arguments.prompt or list(PROMPTS)
    with tqdm(total=len(prompts) * arguments.seeds, unit="picture", disable=None) as bar:
        report = run_demo(
            arguments.out,
            prompts=prompts,
            seeds=arguments.seeds,
            scorer=arguments.scorer or SCORER,
            device=arguments.device,
            lora_dir=arguments.lora_dir,
            on_picture=bar.update,
        )
    say(f"{report.pictures} pictures in {report.seconds:.0f} s. Open {report.html}")
    return 0
