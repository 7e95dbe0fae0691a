"""`hps select` lets the real WebUI draw: the pictures are the WebUI's own, and a run that was stopped goes on."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from webui_runs import NEEDS_SCORER, decode
from webui_server import WebUI

from lib_hps.cli import main
from lib_hps.infotext import read_generation

pytestmark = NEEDS_SCORER
PROMPTS = ("red heart, noto style", "blue star, noto style")


def test_the_webui_draws_and_its_pictures_are_selected(
    webui: WebUI, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "p.txt").write_text("\n".join(PROMPTS))
    out = tmp_path / "out"
    command = ["select", "--prompts", str(tmp_path / "p.txt"), "--seeds", "4", "--webui", webui.url, "--out", str(out)]
    command += ["--steps", "4", "--size", "64", "--sampler", "DPM++ 2M Karras", "--sharpness", "1e6", "--device", "cpu"]
    saved = set(webui.data.rglob("*.png"))
    assert main([*command, "--checkpoint", "tiny-sd"]) == 0
    assert set(webui.data.rglob("*.png")) == saved  # the WebUI kept nothing of its own
    rows = [json.loads(line) for line in (out / "manifest.jsonl").read_text().splitlines()]
    assert [row["kind"] for row in rows].count("positive") == 2
    body = {"prompt": PROMPTS[1], "steps": 4, "width": 64, "height": 64, "seed": 1002, "cfg_scale": 7}
    answer = webui.post("/sdapi/v1/txt2img", {**body, "sampler_name": "DPM++ 2M", "scheduler": "Karras"})
    file = out / "pictures" / "00001" / "002.png"
    assert (np.asarray(decode(answer["images"][0]).convert("RGB")) == np.asarray(Image.open(file))).all()
    found = read_generation(file)
    assert found is not None
    assert (found.prompt, found.settings["Seed"], found.settings["Schedule type"]) == (PROMPTS[1], "1002", "Karras")
    before = {path: path.stat().st_mtime_ns for path in (out / "pictures").rglob("*.png")}
    file.unlink()
    assert main([*command, "--checkpoint", "tiny-sd"]) == 0
    after = {path: path.stat().st_mtime_ns for path in (out / "pictures").rglob("*.png")}
    assert {path for path in after if after[path] != before[path]} == {file}
    capsys.readouterr()
    assert main([*command, "--checkpoint", "tiny-sd_refiner"]) == 2
    assert "checkpoint = 'tiny-sd'" in capsys.readouterr().err
    assert main([*command, "--checkpoint", "nothing"]) == 2
    assert "no checkpoint 'nothing' (it has " in capsys.readouterr().err


def test_nobody_at_the_address_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "p.txt").write_text("a cat")
    assert main(["select", "--prompts", str(tmp_path / "p.txt"), "--webui", "http://127.0.0.1:9"]) == 2
    assert "No WebUI answers" in capsys.readouterr().err
