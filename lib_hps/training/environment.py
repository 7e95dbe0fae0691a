"""Where the trainer runs: a process of its own, with its packages beside the WebUI's, which stay as they are.

An overlay is a folder that `pip install --no-deps --target` fills; only the trainer's process has it on its path. In
A1111's environment (transformers 4.30.2, accelerate 0.21) diffusers 0.29.2 to 0.31.0 with peft up to 0.13.2 work; older
and newer ones fail (measured).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lib_hps.errors import HpsError, InputError

OVERLAY = ("diffusers==0.31.0", "peft==0.13.2")
VENV = ("torch", "accelerate", "diffusers", "peft", "transformers", "safetensors", "numpy", "pillow", "tqdm", "pyyaml")
PACKAGES = ("torch", "accelerate", "diffusers", "peft", "transformers", "safetensors", "tqdm", "yaml")
_ROOT = Path(__file__).parents[2]
_LOOK = """
import importlib, json, sys
found = {}
for name in sys.argv[1:]:
    try:
        module = importlib.import_module(name)
        found[name] = [getattr(module, "__version__", "?"), getattr(module, "__file__", "") or "", ""]
    except Exception as error:
        found[name] = ["", "", f"{type(error).__name__}: {error}".splitlines()[0][:200]]
try:
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from peft import LoraConfig, inject_adapter_in_model
    from accelerate import Accelerator
    from transformers import CLIPTextModel, CLIPTokenizer
    found["trainer"] = ["", "", ""]
except Exception as error:
    found["trainer"] = ["", "", f"{type(error).__name__}: {error}".splitlines()[0][:200]]
print(json.dumps(found))
"""


class SetupError(HpsError):
    """The trainer's environment could not be set up."""


@dataclass(frozen=True)
class Environment:
    """A Python that may train.

    Attributes:
        python: the interpreter.
        overlay: folder in front of its packages, or None.
        versions: what it imports, by package; those that fail are missing.
        errors: why, by package; "trainer" where the classes that are needed cannot be imported together.
    """

    python: Path
    overlay: Path | None
    versions: Mapping[str, str]
    errors: Mapping[str, str]

    @property
    def is_ready(self) -> bool:
        """Everything the trainer needs can be imported."""
        return not self.errors

    def command(self, arguments: Sequence[str]) -> tuple[list[str], dict[str, str]]:
        """Command and environment variables of `hps <arguments>` in this Python."""
        return [str(self.python), "-m", "lib_hps.cli", *arguments], variables(self.overlay)


def variables(overlay: Path | None) -> dict[str, str]:
    """This process' variables, with the overlay and the project in front of the import path."""
    parts = [*([str(overlay)] if overlay else []), str(_ROOT)]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(parts), "HF_HUB_OFFLINE": "1"}


def look(python: Path | None = None, overlay: Path | None = None) -> Environment:
    """What a Python can import, found out in a process of it.

    Raises:
        InputError: there is no such interpreter, or it does not run.
    """
    python = python or Path(sys.executable)
    try:
        done = subprocess.run(
            [str(python), "-c", _LOOK, *PACKAGES],
            env=variables(overlay),
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        found = json.loads(done.stdout.strip().splitlines()[-1])
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InputError(f"{python} does not run ({error}). Give the path of a Python interpreter.") from error
    except (ValueError, IndexError) as error:
        raise InputError(f"{python} ends with an error: {done.stderr.strip()[-300:]}") from error
    versions = {name: version for name, (version, _, error) in found.items() if version and not error}
    errors = {name: error for name, (_, _, error) in found.items() if error}
    return Environment(python, overlay, versions, errors)


def webui_python(root: Path) -> Path:
    """The interpreter of a WebUI's own environment.

    Raises:
        InputError: it has none.
    """
    for name in ("venv/bin/python", "venv/Scripts/python.exe", "system/python/python.exe"):
        if (root / name).is_file():
            return root / name
    raise InputError(f"{root} has no venv. Give its interpreter with --python.")


def freeze(python: Path) -> list[str]:
    """`pip freeze` of an environment, without any overlay.

    Raises:
        SetupError: pip does not run.
    """
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return _run([str(python), "-m", "pip", "freeze", "--all"], environment).splitlines()


def set_up_overlay(python: Path, folder: Path, packages: Sequence[str] = OVERLAY) -> Environment:
    """Fill an overlay for a Python and look at the outcome; the Python's own packages stay as they are.

    Raises:
        SetupError: pip failed, what was installed does not work there, or the Python's own packages changed.
    """
    before = freeze(python)
    command = [str(python), "-m", "pip", "install", "--no-deps", "--upgrade", "--target", str(folder), *packages]
    _run(command, dict(os.environ))
    if freeze(python) != before:
        raise SetupError(f"The packages of {python} changed while {folder} was filled. This should not happen.")
    return look(python, folder)


def set_up_venv(folder: Path, packages: Sequence[str] = VENV) -> Environment:
    """Make a virtual environment with current packages.

    Raises:
        SetupError: it cannot be made.
    """
    _run([sys.executable, "-m", "venv", str(folder)], dict(os.environ))
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    _run([str(python), "-m", "pip", "install", *packages], dict(os.environ))
    return look(python)


def _run(command: Sequence[str], environment: Mapping[str, str]) -> str:
    try:
        done = subprocess.run(command, env=dict(environment), capture_output=True, text=True, check=False)
    except OSError as error:
        raise SetupError(f"{command[0]} does not run: {error.strerror}.") from error
    if done.returncode:
        raise SetupError(f"{' '.join(command[1:4])} failed: {done.stderr.strip()[-400:] or done.stdout.strip()[-400:]}")
    return done.stdout
