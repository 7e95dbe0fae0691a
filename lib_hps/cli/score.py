"""`hps score`: pictures in, scores, ranks, a contact sheet and sorted folders out."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path

from lib_hps.cli.folder.rows import Row
from lib_hps.errors import InputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("paths", nargs="*", metavar="PATH", help="pictures, or folders (with all below them)")
    prompt = parser.add_mutually_exclusive_group()
    prompt.add_argument("--prompt", help="the prompt of all pictures; without it each picture's own infotext is read")
    prompt.add_argument("--prompts", metavar="JSONL", type=Path, help='lines of {"file": ..., "prompt": ...}')
    parser.add_argument(
        "--scorer", default="tiny-hps", help="which scorer (default %(default)s; `hps doctor` lists them)"
    )
    parser.add_argument("--weights", metavar="FILE", help="its weight file, if it is not where weights are looked for")
    parser.add_argument(
        "--out", metavar="FILE", type=Path, help="scores.jsonl or .csv; without it rows go to standard output"
    )
    parser.add_argument("--html", metavar="FILE", type=Path, help="a contact sheet, best first")
    parser.add_argument(
        "--sort",
        choices=["move", "copy", "prefix"],
        help="put the files in order: into hps-sorted/, or by a prefix to the name",
    )
    parser.add_argument("--undo", metavar="FILE", type=Path, help="take a --sort back, from the list that it wrote")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps")
    parser.add_argument(
        "--dtype",
        default="auto",
        choices=["auto", "fp32", "bf16", "fp16"],
        help="precision (auto: half on a GPU, and for large models on a CPU that computes in bf16)",
    )
    parser.add_argument("--batch-size", type=_positive, help="pictures per forward pass")


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError(text)
    return value


def run(arguments: argparse.Namespace) -> int:
    """Score, or undo a sort."""
    if arguments.undo:
        return _undo(arguments.undo)
    return _score(arguments)


def _undo(path: Path) -> int:
    from lib_hps.cli.folder.sorting import undo
    from lib_hps.cli.output import note

    problems = undo(path)
    for problem in problems:
        note(problem)
    note("Undone." if not problems else f"Undone but for {len(problems)}; {path} is kept.")
    return 1 if problems else 0


def _score(arguments: argparse.Namespace) -> int:
    from lib_hps.cli.folder.inputs import find_pictures, make_items, read_prompts
    from lib_hps.cli.folder.launch import join
    from lib_hps.cli.folder.rows import check_out, rank_rows
    from lib_hps.cli.folder.run import discard_journals, score_items
    from lib_hps.cli.output import note
    from lib_hps.scoring import load_scorer

    if not arguments.paths:
        raise InputError("Give the pictures or folders to score, such as: hps score outputs --prompt 'a cat'.")
    out: Path | None = check_out(arguments.out) if arguments.out else None
    files = find_pictures(arguments.paths)
    prompts = read_prompts(arguments.prompts) if arguments.prompts else None
    share = join()
    if share.count > 1 and out is None:
        raise InputError("Several processes need --out FILE to merge their scores.")
    device = share.device if share.device and arguments.device == "auto" else arguments.device
    options = {"device": device, "dtype": arguments.dtype, "batch_size": arguments.batch_size}
    scorer = load_scorer(arguments.scorer, arguments.weights, **options)
    items = list(make_items(files, prompt=arguments.prompt, prompts=prompts, is_prompt_needed=scorer.needs_prompt))
    try:
        outcome = score_items(
            scorer, items, out=out, weights=arguments.weights, share=share, batch_size=arguments.batch_size
        )
    except KeyboardInterrupt:
        kept = (
            f"The scores so far are kept: the same command with --out {out} goes on from there."
            if out
            else "Nothing is kept without --out."
        )
        raise KeyboardInterrupt(kept) from None
    if outcome is None:
        return 0
    rows = rank_rows(outcome.scored, scorer.name)
    problems = outcome.problems + (_sort(rows, arguments.sort, out) if arguments.sort and rows else [])
    _write(rows, out, arguments.html)
    if out:
        discard_journals(out)
    for problem in problems:
        note(problem)
    note(_summary(len(rows), outcome.reused, len(problems), out))
    return 1 if problems else 0


def _sort(rows: list[Row], mode: str, out: Path | None) -> list[str]:
    """Sort the files and write their new names into the rows."""
    from lib_hps.cli.folder.sorting import perform, plan, write_undo
    from lib_hps.cli.output import note

    steps = plan(rows, mode)  # type: ignore[arg-type]  # argparse has checked it
    wanted = out.with_suffix(".undo.json") if out else Path(f"hps-undo-{time.strftime('%Y%m%d-%H%M%S')}.json")
    undo_list = write_undo(wanted, mode, steps)  # type: ignore[arg-type]
    problems = perform(steps, mode)  # type: ignore[arg-type]
    if mode != "copy":
        for row, step in zip(rows, steps, strict=True):
            if Path(step["target"]).exists() and not Path(step["source"]).exists():
                row["file"] = step["target"]
    note(f"To take the sorting back: hps score --undo {undo_list}")
    return problems


def _write(rows: Sequence[Row], out: Path | None, html: Path | None) -> None:
    from lib_hps.cli.folder.rows import write_rows
    from lib_hps.cli.output import say
    from lib_hps.sheet import write_sheet

    if out:
        write_rows(out, rows)
    else:
        for row in rows:
            say(json.dumps(row, ensure_ascii=False))
    if html:
        write_sheet(html, rows)


def _summary(scored: int, reused: int, problems: int, out: Path | None) -> str:
    words = f"{scored} pictures scored" + (f", {reused} of them in an earlier run" if reused else "")
    words += f"; {problems} problems, named above" if problems else ""
    return words + (f". Rows: {out}" if out else ".")
