"""`hps select`: pictures in, a manifest for `hps train-lora` out."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lib_hps.errors import InputError

if TYPE_CHECKING:
    from lib_hps.training.selection.picking import Picked

_REST = "rest"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    from lib_hps.cli import drawing

    add = parser.add_argument
    add("pictures", nargs="*", type=Path, help="folders of generated pictures with prompts, or DiffusionDB")
    add("--choices", type=Path, metavar="PATH", help="recorded choices in place of a scorer")
    add("--prompts", type=Path, metavar="FILE", help="draw pictures of these prompts, one a line")
    drawing.add_arguments(parser)
    add("--scorer", default="tiny-hps", help="whose preference is followed (default %(default)s)")
    add("--sharpness", type=float, help="factor of scores before the softmax (default: 100 for cosines, 1 for logits)")
    add(
        "--regularisation",
        metavar="PATH",
        help=f"captioned pictures: a folder with .txt files, JSONL, DiffusionDB; or {_REST}: those that are not picked",
    )
    add(
        "--ratio",
        default="37:21:200",
        help="positive:negative:regularisation, at most (default: the paper's, %(default)s); all keeps everything",
    )
    add("--out", type=Path, default=Path("selection"), metavar="FOLDER", help="where to write (default ./%(default)s)")
    add("--pairs", action="store_true", help="write pairs.jsonl for --objective dpo as well")
    add("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps")


def run(arguments: argparse.Namespace) -> int:
    """Select; 1 where something had to be left out."""
    from lib_hps.cli.output import note, say
    from lib_hps.training.selection.picking import in_ratio, pairs_of, regularisation
    from lib_hps.training.selection.sources import captioned

    ratio = _ratio(arguments.ratio)
    if bool(arguments.choices) == bool(arguments.pictures or arguments.prompts):
        raise InputError("Give folders of pictures or --prompts, or else --choices.")
    problems: list[str] = []

    def report(problem: str) -> None:
        problems.append(problem)
        note(problem)

    rest: list[tuple[Path, str]] = []
    if arguments.choices:
        picked = _from_choices(arguments.choices, report)
    else:
        picked, rest = _scored(arguments, report)
    if arguments.regularisation == _REST:
        picked = [*picked, *regularisation(rest, "those that were not picked")]
    elif arguments.regularisation:
        source = Path(arguments.regularisation)
        picked = [*picked, *regularisation(captioned(source, report=report), source.name)]
    kept = in_ratio(picked, ratio)
    if not kept:
        raise InputError("No picture stands out: none is clearly the best or the worst of four or more of its prompt.")
    _write(arguments.out / "manifest.jsonl", [one.row() for one in kept])
    _sheet(arguments.out / "selection.html", kept)
    if arguments.pairs:
        _write(arguments.out / "pairs.jsonl", [dict(pair) for pair in pairs_of(picked)])
    counts = {kind: sum(one.kind == kind for one in kept) for kind in ("positive", "negative", "regularisation")}
    note(", ".join(f"{count} {kind}" for kind, count in counts.items()) + f"; {len(problems)} left out as named above.")
    say(str(arguments.out / "manifest.jsonl"))
    return 1 if problems else 0


def _ratio(text: str) -> tuple[float, float, float] | None:
    if text == "all":
        return None
    try:
        first, second, third = (float(piece) for piece in text.split(":"))
    except ValueError as error:
        raise InputError(f"--ratio is {text!r}; write three numbers such as 37:21:200, or all.") from error
    return first, second, third


def _from_choices(path: Path, report: Callable[[str], None]) -> list[Picked]:
    from lib_hps.preferences.reading import read_records
    from lib_hps.preferences.records import Record
    from lib_hps.training.selection.picking import from_record

    picked: list[Picked] = []
    for record in read_records(path):
        if isinstance(record, Record):
            picked += from_record(record)
            if any(picture.content is not None for picture in record.pictures):
                report(f"{record.source}: its pictures lie inside the table, left out. Use hps data import first.")
        else:
            report(str(record))
    return picked


def _scored(
    arguments: argparse.Namespace, report: Callable[[str], None]
) -> tuple[list[Picked], list[tuple[Path, str]]]:
    """What was picked, and (picture, prompt) of what was not."""
    from lib_hps.scoring import clean_prompt, load_scorer
    from lib_hps.scoring.images import open_image
    from lib_hps.training.selection.picking import FEWEST, is_blurry, pick, sharpness_of
    from lib_hps.training.selection.sources import captioned

    scorer = load_scorer(arguments.scorer, device=arguments.device)
    sharpness = arguments.sharpness or sharpness_of(scorer.scale)
    folders = [*arguments.pictures, *([_drawn(arguments)] if arguments.prompts else [])]
    groups: dict[str, list[tuple[Path, str]]] = {}
    for folder in folders:
        for file, prompt in captioned(folder, report=report):
            groups.setdefault(clean_prompt(prompt), []).append((file, clean_prompt(prompt)))
    picked: list[Picked] = []
    whole: list[tuple[Path, str]] = []
    for prompt, found in groups.items():
        sharp = []
        for file, text in found:
            try:
                if is_blurry(open_image(file)):
                    report(f"{file} is blurry; left out.")
                else:
                    sharp.append((file, text))
            except InputError as error:
                report(str(error))
        whole += sharp
        if len(sharp) < FEWEST:
            report(f"{prompt!r} has {len(sharp)} pictures; {FEWEST} are needed, left out.")
            continue
        scores = scorer.score([file for file, _ in sharp], prompt if scorer.needs_prompt else None)
        picked += pick(prompt, sharp, scores.tolist(), sharpness=sharpness)
    taken = {one.file for one in picked}
    return picked, [(file, text) for file, text in whole if file not in taken]


def _drawn(arguments: argparse.Namespace) -> Path:
    from tqdm import tqdm

    from lib_hps.cli.drawing import artist_of, look_of
    from lib_hps.training.selection.drawing import draw_all, read_prompts

    prompts = read_prompts(arguments.prompts)
    folder = arguments.out / "pictures"
    with tqdm(total=len(prompts) * arguments.seeds, unit="picture", disable=None) as bar:
        drawing = draw_all(
            artist_of(arguments), prompts, arguments.seeds, folder, look_of(arguments), on_picture=bar.update
        )
        for _ in drawing:
            pass
    return folder


def _write(path: Path, rows: Sequence[dict[str, object]]) -> None:
    """Rows with paths as they lead from the file's own folder."""
    from lib_hps.files import atomic_write

    folder = path.parent.resolve()

    def told(row: dict[str, object]) -> dict[str, object]:
        files = {key: row[key] for key in ("file", "winner", "loser") if key in row}
        return {**row, **{key: os.path.relpath(Path(str(file)).resolve(), folder) for key, file in files.items()}}

    with atomic_write(path, "w") as stream:
        stream.writelines(json.dumps(told(row), ensure_ascii=False) + "\n" for row in rows)


def _sheet(path: Path, kept: Sequence[Picked]) -> None:
    from lib_hps.sheet import write_sheet

    rows = [
        {"file": str(one.file), "prompt": one.prompt, "score": one.score if one.score is not None else 0.0}
        | {"rank": f"{one.kind}: {one.reason}"}
        for one in kept
        if one.kind != "regularisation"
    ]
    write_sheet(path, rows, title="Selected pictures")
