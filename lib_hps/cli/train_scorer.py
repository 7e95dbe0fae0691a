"""`hps train-scorer`: recorded choices in, a classifier of your own out."""

from __future__ import annotations

import argparse
from pathlib import Path

from lib_hps.errors import InputError
from lib_hps.training.config import add_flags, from_arguments
from lib_hps.training.scorer_config import ScorerConfig


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("data", type=Path, help="recorded choices, or any other readable set (see: hps data)")
    parser.add_argument(
        "--out",
        default="my-taste",
        help="the classifier: a file, or a name, which lies in the weights folder (default %(default)s)",
    )
    parser.add_argument(
        "--run", type=Path, help="folder for log, state and report (default ./hps-train-scorer/<the name>)"
    )
    add_flags(parser, ScorerConfig)


def run(arguments: argparse.Namespace) -> int:
    """Train, measure, report."""
    from lib_hps.cli.output import note, say
    from lib_hps.training.evaluation import table
    from lib_hps.training.scorer_report import measure_all, write_report
    from lib_hps.training.scorer_training import train_scorer

    config = from_arguments(ScorerConfig, arguments)
    out = target(arguments.out)
    folder = arguments.run or Path("hps-train-scorer") / out.stem
    trained = train_scorer(arguments.data, out, folder, config)
    measured = measure_all(trained, config)
    if measured is None:  # not the first process
        return 0
    for problem in trained.problems:
        note(problem)
    if measured.rows:
        say(table(measured.rows))
    report = write_report(folder / "report.html", trained, measured, config)
    for words in trained.notes:
        note(words)
    left_out = f"{len(trained.problems)} problems, named above" if trained.problems else "nothing had to be left out"
    note(f"{len(trained.train)} choices learned; {left_out}. Report: {report}")
    say(str(out))
    return 1 if trained.problems else 0


def target(out: str) -> Path:
    """A file as it is; a bare name in the weights folder, where every list of scorers finds it.

    Raises:
        InputError: another ending than .safetensors, or the name of a scorer that there is.
    """
    from lib_hps.scoring.registry import REGISTRY
    from lib_hps.scoring.weights import search_folders

    path = Path(out).expanduser()
    if path.name == out and not path.suffix:
        path = search_folders()[0] / f"{out}.safetensors"
    if path.suffix != ".safetensors":
        raise InputError(f"--out is {out}; give a plain name, or a file that ends in .safetensors.")
    if path.stem in REGISTRY:
        raise InputError(f"{path.stem} is a scorer that comes with this project. Choose another name.")
    return path
