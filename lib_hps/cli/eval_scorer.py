"""`hps eval-scorer`: how often scorers agree with a set of choices."""

from __future__ import annotations

import argparse
from pathlib import Path

from lib_hps.errors import InputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    add = parser.add_argument
    add("--data", required=True, type=Path, help="any readable set of choices (see: hps data)")
    add("--scorer", required=True, nargs="+", metavar="NAME", help="names, or files of classifiers")
    add("--layout", help="layout of the data, where it is not recognised")
    add("--images", type=Path, help="folder of the pictures, where they are not beside the data")
    add("--test-share", type=float, metavar="SHARE", help="only the prompts that train-scorer keeps for the report")
    add("--seed", type=int, default=0, help="of that split (default %(default)s)")
    add("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps")
    add("--out", type=Path, metavar="FILE", help="the table as Markdown, besides standard output")


def run(arguments: argparse.Namespace) -> int:
    """Measure each scorer."""
    import tempfile

    from lib_hps.cli.folder.launch import join
    from lib_hps.cli.output import note, say
    from lib_hps.files import atomic_write
    from lib_hps.scoring import load_scorer
    from lib_hps.training.evaluation import chance, measure, score_choices, table
    from lib_hps.training.scorer_data import gather, readable, side_of_choice

    share = join()
    with tempfile.TemporaryDirectory(prefix="hps-eval-") as scratch:
        found = gather(arguments.data, Path(scratch), layout=arguments.layout, images=arguments.images)
        choices, bad = readable(found.choices)
        if arguments.test_share is not None:
            choices = [c for c in choices if side_of_choice(c, arguments.seed) < arguments.test_share]
        if not choices:
            raise InputError(f"No choice of {arguments.data} is left to measure on.")
        device = share.device if share.device and arguments.device == "auto" else arguments.device
        rows = [chance(choices)]
        for name in arguments.scorer:
            scorer = load_scorer(name, device=device)
            rows.append(measure(name, score_choices(scorer, choices), choices))
            scorer.unload(drop=True)
    if share.rank:
        return 0
    problems = found.problems + bad
    for problem in problems:
        note(problem)
    text = table(rows)
    say(text)
    if arguments.out:
        with atomic_write(arguments.out, "w") as stream:
            stream.write(text + "\n")
    note(
        f"{len(choices)} choices measured; {found.undecided} without a preference and {len(problems)} broken left out."
    )
    return 1 if problems else 0
