"""`hps doctor --trainer`: can this Python train, and if not, what makes it able to."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lib_hps.training.environment import Environment


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `hps doctor` that belong to the trainer."""
    group = parser.add_argument_group("the trainer")
    group.add_argument("--trainer", action="store_true", help="check the trainer's environment instead")
    group.add_argument("--webui", type=Path, metavar="FOLDER", help="look at this WebUI's own Python")
    group.add_argument(
        "--python", type=Path, metavar="FILE", help="look at this Python (default: the one that runs hps)"
    )
    group.add_argument("--overlay", type=Path, metavar="FOLDER", help="packages beside that Python's own")
    group.add_argument("--venv", type=Path, metavar="FOLDER", help="an environment of its own")
    group.add_argument("--set-up", action="store_true", help="fill the overlay, or make the environment")


def run(arguments: argparse.Namespace) -> int:
    """Report, after setting up where asked to; 0 if the trainer can run.

    Raises:
        InputError, SetupError: as their messages say.
    """
    from lib_hps.cli.output import note, say
    from lib_hps.errors import InputError
    from lib_hps.training import environment as trainer

    if arguments.set_up and not (arguments.overlay or arguments.venv):
        raise InputError("Where? Give --overlay FOLDER (beside a WebUI's packages) or --venv FOLDER (on its own).")
    if arguments.venv:
        windows = arguments.venv / "Scripts" / "python.exe"
        python = windows if windows.exists() else arguments.venv / "bin" / "python"
        found = trainer.set_up_venv(arguments.venv) if arguments.set_up else trainer.look(python)
    else:
        given = arguments.python or (trainer.webui_python(arguments.webui) if arguments.webui else None)
        if arguments.set_up:
            note(f"Installing {', '.join(trainer.OVERLAY)} into {arguments.overlay} ...")
            found = trainer.set_up_overlay(given or trainer.look().python, arguments.overlay)
            note("The Python's own packages are as they were (pip freeze).")
        else:
            found = trainer.look(given, arguments.overlay)
    say(_report(found))
    return 0 if found.is_ready else 1


def _report(found: Environment) -> str:
    lines = [f"Trainer: {found.python}" + (f", overlay {found.overlay}" if found.overlay else "")]
    lines += [f"  {name:<16} {version}" for name, version in found.versions.items()]
    lines += [f"  {name:<16} {error}" for name, error in found.errors.items()]
    if found.is_ready:
        command, variables = found.command(["train-lora", "..."])
        lines.append("Ready: PYTHONPATH=" + shlex.quote(variables["PYTHONPATH"]) + " " + shlex.join(command))
    else:
        lines.append(
            "Not ready. Beside a WebUI: hps doctor --trainer --webui FOLDER --overlay FOLDER --set-up. "
            "On its own: hps doctor --trainer --venv FOLDER --set-up."
        )
    return "\n".join(lines)
