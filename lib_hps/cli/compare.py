"""`hps compare`: the base model beside LoRAs of it, on the same prompts and seeds, with scores and a blind vote."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lib_hps.scoring import Scorer
    from lib_hps.training.comparing.arms import Arm
    from lib_hps.training.comparing.run import Cell

_AT_ONCE = 4  # pictures of a vote


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    from lib_hps.cli import drawing

    add = parser.add_argument
    add("--prompts", type=Path, required=True, metavar="FILE", help="one a line; take some that nothing was trained on")
    add(
        "--lora",
        action="append",
        required=True,
        metavar="[NAME=]FILE[:STRENGTH]",
        help="a column beside the base; several times for several. Its card's negative text is used with it",
    )
    add("--scorer", help="default: tiny-hps for tiny-sd, else what is there")
    add("--holdout", help="a scorer that the LoRAs were not made with")
    add("--out", type=Path, default=Path("comparison"), metavar="FOLDER", help="default ./%(default)s")
    add("--vote", action="store_true", help="then ask which is better, without saying which is which")
    add("--choices", type=Path, metavar="FOLDER", help="where votes go (default: choices in --out)")
    add("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps")
    add("--port", type=int, help="of the page (default: the first free one from 7860)")
    add("--no-browser", action="store_true", help="do not open a browser window")
    drawing.add_arguments(parser, has_webui=False, seeds=4)


def run(arguments: argparse.Namespace) -> int:
    """Draw, score, write; ask where asked to, and write again."""
    from tqdm import tqdm

    from lib_hps.cli.drawing import checkpoint_of, look_of
    from lib_hps.cli.output import note, say
    from lib_hps.diffusion.pipeline import load_pipeline
    from lib_hps.training.comparing.arms import read_arms
    from lib_hps.training.comparing.run import draw_cells, score_cells
    from lib_hps.training.lora.judges import find_judges
    from lib_hps.training.selection.drawing import read_prompts

    arms, prompts, look = read_arms(arguments.lora), read_prompts(arguments.prompts), look_of(arguments)
    prompts = list(dict.fromkeys(prompts))
    base = checkpoint_of(arguments.checkpoint)
    judges = find_judges(arguments.scorer, arguments.holdout, base, arguments.device)
    files = {arm.name: arm.lora for arm in arms if arm.lora is not None}
    pipeline = load_pipeline(base, arguments.device, lora_files=files)
    with tqdm(total=len(arms) * len(prompts) * arguments.seeds, unit="picture", disable=None) as bar:
        cells = draw_cells(pipeline, arms, prompts, arguments.seeds, arguments.out, look, on_picture=bar.update)
    score_cells(cells, judges, arguments.out)
    about = (
        f"{base.name}, {look.sampler}, {look.steps} steps, CFG {look.cfg:g}, {len(prompts)} prompts, "
        f"{arguments.seeds} seeds each; the same for every column."
    )
    choices = arguments.choices or arguments.out / "choices"
    for words in _write(arguments.out, cells, judges, choices, about=about):
        note(words)
    if arguments.vote:
        try:
            _ask(arguments, arms, cells, choices)
        finally:
            _write(arguments.out, cells, judges, choices, about=about)
    say(str(arguments.out / "comparison.html"))
    return 0


def _write(
    folder: Path, cells: Sequence[Cell], judges: Mapping[str, Scorer], choices: Path, *, about: str
) -> list[str]:
    """The page and the poster; gives the figures in words."""
    from lib_hps.training.comparing.figures import gains, votes
    from lib_hps.training.comparing.page import write_page
    from lib_hps.training.comparing.poster import write_poster

    found, told = gains(cells), votes(cells, choices)
    names = {judge: scorer.name for judge, scorer in judges.items()}
    write_page(folder / "comparison.html", cells, found, told, names=names, about=about)
    write_poster(folder / "comparison.png", cells)
    words = [
        f"{one.arm}, {one.judge} ({names[one.judge]}): {one.mean:+.4f} over base, "
        f"{one.interval}; {one.wins:.0%} of the pictures above"
        for one in found
    ]
    return [
        *words,
        *(f"{v.first} against {v.second}: {v.won} better, {v.lost} worse, {v.ties} not told apart" for v in told),
    ]


def _ask(arguments: argparse.Namespace, arms: Sequence[Arm], cells: Sequence[Cell], choices: Path) -> None:
    from lib_hps.board.data.api import compare_router
    from lib_hps.board.data.collecting import Collector
    from lib_hps.cli.output import note
    from lib_hps.hosts.standalone.data_pages import serve_page

    collector = Collector(choices, count=min(len(arms), _AT_ONCE))
    for cell in cells:
        for file in cell.files.values():
            collector.add(file, cell.prompt, group=f"{cell.prompt}\n{cell.seed}")
    serve_page(compare_router(collector), port=arguments.port, opens_browser=not arguments.no_browser, say=note)
