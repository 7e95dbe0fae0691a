"""install.py in the WebUI's own environment, run as the WebUI runs it: nothing is installed, removed or changed."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from webui_server import BUNDLED, find_root

REPOSITORY = BUNDLED.parents[1]


def freeze(python: Path) -> str:
    return subprocess.run([python, "-m", "pip", "freeze", "--all"], capture_output=True, text=True, check=True).stdout


@pytest.mark.timeout(600)
def test_the_webui_keeps_every_package_it_had() -> None:
    root = find_root()
    python = root / "venv" / "bin" / "python"
    before = freeze(python)
    environment = {**os.environ, "PYTHONPATH": str(root)}  # as modules/launch_utils.py: run_extension_installer
    run = subprocess.run([python, REPOSITORY / "install.py"], cwd=root, env=environment, capture_output=True, text=True)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
    assert freeze(python) == before
    assert "open-clip-torch" in before
