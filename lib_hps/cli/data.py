"""`hps data`: preference data in any layout, looked at, checked, converted, split and merged."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lib_hps.preferences.records import BrokenRow, Record


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the commands."""
    from lib_hps.preferences.formats import FORMATS

    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    def action(name: str, words: str, *, many: bool = False) -> argparse.ArgumentParser:
        one = actions.add_parser(name, help=words, description=words + ".")
        one.add_argument("data", type=Path, nargs="+" if many else None, metavar="DATA", help="a file or folder")
        _add_reading(one)
        return one

    one = action("import", "Copy choices of any layout, with their pictures, into a folder of choices")
    one.add_argument("--into", type=Path, required=True, metavar="FOLDER", help="the folder of choices; may exist")
    one = action("export", "Write choices in the layout of other programs")
    one.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="a new folder")
    one.add_argument("--format", choices=FORMATS, default="align_sd", help="default %(default)s")
    one = action("check", "List every broken row and every damaged picture; the exit code is 1 if there are any")
    one.add_argument("--rows-only", action="store_true", help="do not open the pictures")
    one = action("stats", "Count choices, agreement, position bias, ties and gaps")
    one.add_argument("--html", type=Path, metavar="FILE", help="write the figures and their charts there")
    one = action("split", "Split by prompt, so that no prompt is in two parts")
    one.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="a new folder for train/ and the others")
    one.add_argument("--test", type=float, default=0.1, help="share of the prompts (default %(default)s)")
    one.add_argument("--validation", type=float, default=0.1, help="share of the prompts (default %(default)s)")
    one.add_argument("--seed", type=int, default=0, help="another seed, another split (default %(default)s)")
    one = action("merge", "Put several data sets into one folder; the same choice once", many=True)
    one.add_argument("--into", type=Path, required=True, metavar="FOLDER", help="the folder of choices; may exist")
    one = action("browse", "Open a page to look at choices, correct or drop them")
    _add_page(one)
    one = actions.add_parser("collect", help="Open the page Compare: which of these is better?")
    one.add_argument("pictures", type=Path, nargs="?", metavar="FOLDER", help="pictures, each with its infotext")
    one.add_argument("--into", type=Path, required=True, metavar="FOLDER", help="the folder of choices; may exist")
    one.add_argument("--prompt", help="the prompt of all pictures; without FOLDER they are drawn for it")
    one.add_argument("--at-once", type=int, choices=(2, 4), default=2, help="pictures shown (default %(default)s)")
    one.add_argument("--draw", type=int, default=16, help="without FOLDER: pictures to draw (default %(default)s)")
    one.add_argument("--checkpoint", type=Path, metavar="FILE", help="without FOLDER: what draws (default: tiny-sd)")
    one.add_argument("--seed", type=int, default=0, help="of the first picture, and of the order of questions")
    _add_page(one)


def _add_reading(parser: argparse.ArgumentParser) -> None:
    from lib_hps.preferences.formats import LAYOUTS

    parser.add_argument("--layout", choices=LAYOUTS, help="default: recognised")
    parser.add_argument("--images", type=Path, metavar="FOLDER", help="where the pictures lie, if not beside the rows")
    parser.add_argument("--labels-only", action="store_true", help="take rows whose pictures are missing as well")


def _add_page(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--port", type=int, help="default: the first free one from 7860")
    parser.add_argument("--no-browser", action="store_true", help="do not open a browser window")


def run(arguments: argparse.Namespace) -> int:
    """Run one of them."""
    return {
        "import": _import,
        "export": _export,
        "check": _check,
        "stats": _stats,
        "split": _split,
        "merge": _merge,
        "browse": _browse,
        "collect": _collect,
    }[arguments.action](arguments)


def _read(arguments: argparse.Namespace, path: Path) -> Iterator[Record | BrokenRow]:
    from tqdm import tqdm

    from lib_hps.preferences.reading import read_records

    found = read_records(path, layout=arguments.layout, images=arguments.images, labels_only=arguments.labels_only)
    return iter(tqdm(found, unit="row", disable=None, leave=False))


class _Reporter:
    """Writes broken rows as they come, and counts them."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, row: BrokenRow) -> None:
        from lib_hps.cli.output import note

        self.count += 1
        note(str(row))


def _import(arguments: argparse.Namespace) -> int:
    from lib_hps.cli.output import say
    from lib_hps.preferences.adding import add_records

    report = _Reporter()
    prefix = f"{arguments.data.resolve().parent.name}/{arguments.data.stem}"
    done = add_records(arguments.into, _read(arguments, arguments.data), report=report, prefix=prefix)
    say(f"{done.added} choices added, {done.known} were there already, {done.broken} rows are broken.")
    return 1 if done.broken else 0


def _merge(arguments: argparse.Namespace) -> int:
    from lib_hps.cli.output import say
    from lib_hps.preferences.adding import add_records

    report = _Reporter()
    added = known = 0
    for path in arguments.data:
        prefix = f"{path.resolve().parent.name}/{path.stem}"
        done = add_records(arguments.into, _read(arguments, path), report=report, prefix=prefix, by_content=True)
        added, known = added + done.added, known + done.known
    say(f"{added} choices added, {known} were there already, {report.count} rows are broken.")
    return 1 if report.count else 0


def _export(arguments: argparse.Namespace) -> int:
    from lib_hps.cli.output import say
    from lib_hps.preferences.exporting import export_records

    report = _Reporter()
    count = export_records(arguments.out, _read(arguments, arguments.data), arguments.format, report=report)
    say(f"{count} choices in {arguments.out}, {report.count} rows are broken.")
    return 1 if report.count else 0


def _check(arguments: argparse.Namespace) -> int:
    from lib_hps.cli.output import say
    from lib_hps.preferences.checking import check_records
    from lib_hps.preferences.records import BrokenRow

    whole = broken = 0
    opens = not (arguments.rows_only or arguments.labels_only)
    for one in check_records(_read(arguments, arguments.data), opens_pictures=opens):
        if isinstance(one, BrokenRow):
            broken += 1
            say(str(one))
        else:
            whole += 1
    say(f"{whole} choices are whole, {broken} rows are broken.")
    return 1 if broken else 0


def _stats(arguments: argparse.Namespace) -> int:
    from lib_hps.cli.output import say
    from lib_hps.preferences.statistics import statistics_of
    from lib_hps.preferences.statistics_page import figures, write_page

    found = statistics_of(_read(arguments, arguments.data))
    for what, figure in figures(found):
        say(f"{what:38} {figure}")
    if arguments.html:
        say(f"Charts: {write_page(arguments.html, found, title=arguments.data.name)}")
    return 0


def _split(arguments: argparse.Namespace) -> int:
    from lib_hps.cli.output import say
    from lib_hps.preferences.splitting import split_records

    rest = 1 - arguments.test - arguments.validation
    shares = {"train": rest, "validation": arguments.validation, "test": arguments.test}
    report = _Reporter()
    read = _read(arguments, arguments.data)
    for part, count in split_records(arguments.out, read, shares, seed=arguments.seed, report=report).items():
        say(f"{arguments.out / part}: {count} choices")
    return 1 if report.count else 0


def _browse(arguments: argparse.Namespace) -> int:
    from lib_hps.board.data.api import browse_router
    from lib_hps.board.data.browsing import Browser
    from lib_hps.cli.output import note
    from lib_hps.hosts.standalone.data_pages import serve_page

    router = browse_router(Browser(arguments.data))
    serve_page(router, port=arguments.port, opens_browser=not arguments.no_browser, say=note)
    return 0


def _collect(arguments: argparse.Namespace) -> int:
    from lib_hps.board.data.api import compare_router
    from lib_hps.board.data.collecting import Collector
    from lib_hps.cli.output import note
    from lib_hps.errors import InputError
    from lib_hps.hosts.standalone.data_pages import draw_in_background, serve_page

    collector = Collector(arguments.into, count=arguments.at_once, seed=arguments.seed)
    if arguments.pictures:
        for problem in collector.add_folder(arguments.pictures, prompt=arguments.prompt):
            note(problem)
    elif arguments.prompt:
        checkpoint, count = arguments.checkpoint, arguments.draw
        draw_in_background(
            collector, arguments.prompt, count=count, seed=arguments.seed, checkpoint=checkpoint, say=note
        )
    else:
        raise InputError("Name a folder of pictures, or give --prompt and they are drawn.")
    router = compare_router(collector)
    serve_page(router, port=arguments.port, opens_browser=not arguments.no_browser, say=note)
    return 0
