"""The trainer beside the WebUI's own packages, which stay as they are.

Filling an overlay needs the network: HPS_TRAINER_OVERLAY names one that
`hps doctor --trainer --webui FOLDER --overlay FOLDER --set-up` has filled.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from webui_lora import write_manifest
from webui_server import BUNDLED, find_root

from lib_hps.cli import main
from lib_hps.training.environment import freeze, look, webui_python

pytestmark = pytest.mark.timeout(900)
OVERLAY = os.environ.get("HPS_TRAINER_OVERLAY")


def test_looking_at_a_webui_changes_none_of_its_packages(capsys: pytest.CaptureFixture[str]) -> None:
    root = find_root()
    before = freeze(webui_python(root))
    code = main(["doctor", "--trainer", "--webui", str(root)])
    said = capsys.readouterr().out
    assert str(webui_python(root)) in said
    assert ("Ready: " in said, "--set-up" in said) == ((True, False) if code == 0 else (False, True))
    assert freeze(webui_python(root)) == before


@pytest.mark.skipif(OVERLAY is None, reason="set HPS_TRAINER_OVERLAY to a filled overlay")
def test_a_lora_is_trained_in_the_webuis_python(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from lib_hps.diffusion.lora_file import read_lora

    root, overlay = find_root(), Path(str(OVERLAY))
    before = freeze(webui_python(root))
    assert main(["doctor", "--trainer", "--webui", str(root), "--overlay", str(overlay)]) == 0
    assert "Ready: " in capsys.readouterr().out
    out = tmp_path / "taste.safetensors"
    arguments = ["train-lora", str(write_manifest(tmp_path / "data")), "--base"]
    arguments += [str(BUNDLED / "tiny-sd" / "tiny-sd.safetensors"), "--out", str(out), "--run-dir", f"{tmp_path}/run"]
    arguments += ["--steps", "4", "--batch", "2", "--lr", "0.005", "--crops", "1", "--sample-every", "0"]
    arguments += ["--device", "cpu", "--text-encoder"]
    command, variables = look(webui_python(root), overlay).command(arguments)
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert {name.split("_")[1] for name in read_lora(out).pairs} == {"unet", "te"}
    assert freeze(webui_python(root)) == before
