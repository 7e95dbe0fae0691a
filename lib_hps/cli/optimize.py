"""`hps optimize`: rounds of noise optimisation by a scorer, without a browser."""

from __future__ import annotations

import argparse
import secrets
from pathlib import Path
from typing import Any

from lib_hps.cli.serve import add_lora_dir


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    add = parser.add_argument
    add("--prompt", required=True, help="what the picture should show")
    add("--negative", default="", help="what to stay away from")
    add("--scorer", help="whose preference is followed (default tiny-hps); a file, or ensemble:<a>=1,<b>=.5 too")
    add("--holdout", help="a scorer that only watches (default: another one that is ready; none: no one)")
    add("--rounds", type=int, default=10, help="at most so many rounds (default %(default)s)")
    add("--batch", type=int, default=6, help="pictures a round, the best so far included (default %(default)s)")
    add("--images", type=int, help="draw at most so many pictures")
    add("--patience", type=int, help="stop after so many rounds without gain")
    add("--optimizer", help="how the next noises are found (default: the best one there is)")
    add("--seed", type=int, help="of the first picture (default: by lot)")
    add("--steps", type=int, help="sampler steps")
    add("--sampler", help="sampler, as the WebUI calls it; a deterministic one is best")
    add("--cfg", type=float, help="guidance scale")
    add("--size", metavar="WxH", help="pixels, such as 512x768")
    add("--checkpoint", type=Path, metavar="FILE", help="an SD1, SD2 or SDXL file (default: the bundled tiny-sd)")
    add(
        "--out",
        type=Path,
        default=Path("hps-optimize"),
        metavar="FOLDER",
        help="where to write (default ./%(default)s)",
    )
    add_lora_dir(parser)
    add("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps")
    add("--dtype", default="auto", choices=["auto", "float32", "float16", "bfloat16"], help="precision of the model")


def run(arguments: argparse.Namespace) -> int:
    """Optimise, and say where everything is."""
    from tqdm import tqdm

    from lib_hps.board.auto import Plan
    from lib_hps.cli.output import note, say
    from lib_hps.diffusion.bundled import SCORER, require_tiny_checkpoint
    from lib_hps.diffusion.pipeline import load_pipeline
    from lib_hps.hosts.standalone.optimize import plan_of, run_optimize
    from lib_hps.hosts.standalone.rounds import StandaloneHost
    from lib_hps.hosts.standalone.studio import Studio
    from lib_hps.ranking import OPTIMIZERS
    from lib_hps.session import SessionStore
    from lib_hps.session.names import name_from
    from lib_hps.session.settings import check_optimizer

    scorer = arguments.scorer or SCORER
    chosen = {name: getattr(arguments, name) for name in ("rounds", "images", "patience")}
    default = "default" if "default" in OPTIMIZERS else "random"
    seed = secrets.randbelow(2**32) if arguments.seed is None else arguments.seed
    optimizer = {"name": arguments.optimizer or default, "seed": seed, "batch": arguments.batch, "params": {}}
    Plan.read({**chosen, "scorer": scorer, "holdout": None})  # what cannot be is said before a model is loaded
    check_optimizer(optimizer)
    checkpoint = arguments.checkpoint or require_tiny_checkpoint()
    pipeline = load_pipeline(checkpoint, arguments.device, arguments.dtype, lora_dir=arguments.lora_dir)
    files = [name for name in members(scorer) + members(arguments.holdout or "") if is_file(name)]
    host = StandaloneHost(Studio(pipeline, arguments.out, scorer=scorer, device=arguments.device), files=files)
    plan = plan_of({**chosen, "scorer": called(scorer), "holdout": called(arguments.holdout)}, host)
    settings = settings_of(arguments, host.defaults())
    host.check_settings(settings)
    store = SessionStore(arguments.out / "sessions")
    session = store.create(name=name_from(arguments.prompt), settings=settings, optimizer=optimizer)
    layout = "{l_bar}{bar}| {elapsed}<{remaining}{postfix}"
    with tqdm(total=float(plan.rounds), bar_format=layout, disable=None) as bar:

        def report(text: str, done: float, preview: str | None = None) -> None:
            bar.n = done * plan.rounds
            bar.set_postfix_str(text)

        outcome = run_optimize(session, host, plan, arguments.out, report=report)
    note(outcome.why)
    if outcome.best is None:
        return 130 if outcome.was_cancelled else 1
    warning = _warning(session)
    if warning:
        note(warning)
    say(f"{outcome.best}\n{outcome.report}")
    note(f"The session can be opened on the board: hps serve (or demo) --outputs {arguments.out}")
    return 130 if outcome.was_cancelled else 0


def members(scorer: str) -> list[str]:
    """A scorer's name, or those of an ensemble's members."""
    from lib_hps.scoring.ensemble import PREFIX, parse_ensemble

    return [name for name, _ in parse_ensemble(scorer)] if scorer.startswith(PREFIX) else [scorer]


def is_file(scorer: str) -> bool:
    """Whether it is a trained classifier's file."""
    return bool(scorer) and Path(scorer).expanduser().is_file()


def called(scorer: str | None) -> str | None:
    """What reports call it: a file by its stem."""
    return Path(scorer).stem if scorer and is_file(scorer) else scorer


def settings_of(arguments: argparse.Namespace, defaults: dict[str, Any]) -> dict[str, Any]:
    """The host's defaults with what was asked for.

    Raises:
        InputError: a size that is none.
    """
    from lib_hps.hosts.standalone.form import parse_size

    given = {name: getattr(arguments, name) for name in ("prompt", "negative", "steps", "sampler", "cfg")}
    if arguments.size:
        given["width"], given["height"] = parse_size(arguments.size)
    return {**defaults, **{name: value for name, value in given.items() if value is not None}}


def _warning(session: Any) -> str | None:
    from lib_hps.board.trends import warning_of

    return warning_of(session.state())
