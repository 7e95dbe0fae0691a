"""install.py in the WebUI's own environment, run as the WebUI runs it: what is there stays as it is."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from PIL import Image
from webui_runs import NEEDS_SCORER
from webui_server import BUNDLED, find_root

from lib_hps.scoring import load_scorer

REPOSITORY = BUNDLED.parents[1]
pytestmark = pytest.mark.timeout(600)
# as in a fork that has no open_clip, and here no safetensors either
LACKING = """
import importlib.util, runpy, sys
find = importlib.util.find_spec
lacking = {"open_clip", "open_clip_torch", "safetensors"}
importlib.util.find_spec = lambda name, *more: None if name in lacking else find(name, *more)
runpy.run_path(sys.argv.pop(1), run_name="__main__")
"""
SCORES = """
import json, sys
sys.modules.update(dict.fromkeys(("open_clip", "torchvision", "timm", "transformers", "clip")))  # importing them fails
from lib_hps.scoring import load_scorer
print(json.dumps(load_scorer("tiny-hps", device="cpu").score([sys.argv[1]], "red heart").tolist()))
"""


def freeze(python: Path) -> str:
    return subprocess.run([python, "-m", "pip", "freeze", "--all"], capture_output=True, text=True, check=True).stdout


def run_there(*arguments: object, flags: str = "") -> subprocess.CompletedProcess[str]:
    """The WebUI's Python in its folder, as modules/launch_utils.py: run_extension_installer."""
    root = find_root()
    environment = {**os.environ, "PYTHONPATH": str(root), "COMMANDLINE_ARGS": flags}
    command = [root / "venv" / "bin" / "python", *map(str, arguments)]
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True)


def test_the_webui_keeps_every_package_it_had() -> None:
    python = find_root() / "venv" / "bin" / "python"
    before = freeze(python)
    run = run_there(REPOSITORY / "install.py")
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
    assert freeze(python) == before
    assert "open-clip-torch" in before


def test_what_is_missing_is_installed_alone_through_the_webui_and_open_clip_is_not_missed() -> None:
    python = find_root() / "venv" / "bin" / "python"
    before = freeze(python)
    run = run_there("-c", LACKING, REPOSITORY / "install.py")  # pip finds it there in truth, and needs no network
    assert run.returncode == 0, run.stderr
    assert "Installing safetensors for HPS" in run.stdout
    assert "open" not in run.stdout
    assert freeze(python) == before


def test_skip_install_is_honoured() -> None:
    run = run_there("-c", LACKING, REPOSITORY / "install.py", flags="--skip-install")
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


@NEEDS_SCORER[1]
def test_pictures_are_scored_in_the_webuis_environment_without_open_clip(tmp_path: Path) -> None:
    file = tmp_path / "red.png"
    Image.new("RGB", (64, 64), "red").save(file)
    run = run_there("-c", f"import sys; sys.path.insert(0, {str(REPOSITORY)!r}){SCORES}", file)
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout) == pytest.approx(
        load_scorer("tiny-hps").score([file], "red heart").tolist(), abs=1e-4
    )
