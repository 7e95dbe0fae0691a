"""`hps compare` on real (random) models: what is drawn, scored and shown, and that votes are blind and kept."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from board_server import CHROMIUM, SHOTS
from PIL import Image
from random_models import ROOT, write_lora

from lib_hps.cli import main
from lib_hps.errors import InputError
from lib_hps.hosts.standalone.server import free_port
from lib_hps.infotext import read_generation
from lib_hps.preferences.reading import read_records
from lib_hps.training.comparing.arms import Arm, read_arms
from lib_hps.training.comparing.figures import gains
from lib_hps.training.comparing.run import Cell

PROMPTS = ("a cat", "a dog")


@pytest.fixture(scope="module")
def folder(pipeline, tmp_path_factory) -> Path:
    """Two LoRAs, one of them with a card."""
    folder = tmp_path_factory.mktemp("compare")
    write_lora(folder / "taste.safetensors", pipeline)
    (folder / "taste.json").write_text(json.dumps({"negative text": "Weird image. "}))
    write_lora(folder / "reg.safetensors", pipeline, seed=1, has_text=False)
    (folder / "p.txt").write_text("\n".join(PROMPTS))
    return folder


def arguments(folder: Path, checkpoint: Path, out: Path, *more: str) -> list[str]:
    fixed = ["compare", "--prompts", str(folder / "p.txt"), "--checkpoint", str(checkpoint), "--seeds", "2"]
    fixed += ["--lora", f"adapted={folder / 'taste.safetensors'}:0.8", "--lora", str(folder / "reg.safetensors")]
    fixed += ["--scorer", "tiny-hps", "--holdout", "tiny-holdout", "--device", "cpu"]
    return [*fixed, "--steps", "2", "--sampler", "DDIM", "--out", str(out), *more]


def stamps(out: Path) -> dict[Path, int]:
    return {file: file.stat().st_mtime_ns for file in [*(out / "pictures").rglob("*.png"), out / "scores.jsonl"]}


def test_columns_are_drawn_scored_shown_and_not_drawn_twice(folder, tiny_checkpoint, tmp_path, capsys):
    command = arguments(folder, tiny_checkpoint, tmp_path)
    assert main(command) == 0
    told = capsys.readouterr()
    assert told.out.strip() == str(tmp_path / "comparison.html")
    assert re.search(r"adapted, held-out \(.*\): [+-]0\.\d{4} over base, no interval under 10 prompts; \d+%", told.err)
    made = {arm: read_generation(tmp_path / "pictures" / arm / "00001" / "001.png") for arm in ("base", "adapted")}
    assert (made["base"].prompt, made["base"].negative) == ("a dog", "")
    assert (made["adapted"].prompt, made["adapted"].negative) == ("a dog<lora:adapted:0.8>", "Weird image.")
    assert made["base"].settings["Seed"] == made["adapted"].settings["Seed"] == "1001"
    pictures = [
        np.asarray(Image.open(tmp_path / "pictures" / arm / "00000" / "000.png")) for arm in ("base", "adapted", "reg")
    ]
    assert all((one != other).any() for one, other in ((pictures[0], pictures[1]), (pictures[0], pictures[2])))
    page = (tmp_path / "comparison.html").read_text()
    assert page.count("data:image/webp;base64,") == 12
    assert "http" not in page.replace("http-equiv", "")  # no network
    rows = [json.loads(line) for line in (tmp_path / "scores.jsonl").read_text().splitlines()]
    assert len(rows) == 24
    assert all(f"{row['score']:.4f}" in page for row in rows)
    poster = Image.open(tmp_path / "comparison.png")
    assert poster.width > 3 * 192
    before = stamps(tmp_path)
    assert main(command) == 0
    assert stamps(tmp_path) == before
    next((tmp_path / "pictures" / "reg").rglob("*.png")).unlink()
    assert main(command) == 0
    assert sum(stamps(tmp_path)[file] != before[file] for file in before) == 1
    capsys.readouterr()
    assert main([*command, "--cfg", "3"]) == 2
    assert "cfg = 7.0, now it is 3.0" in capsys.readouterr().err


def test_another_lora_file_of_the_same_name_is_refused(folder, tiny_checkpoint, pipeline, tmp_path, capsys):
    mine = tmp_path / "mine.safetensors"
    write_lora(mine, pipeline, has_text=False)
    command = [*arguments(folder, tiny_checkpoint, tmp_path / "out"), "--lora", str(mine)]
    assert main(command) == 0
    write_lora(mine, pipeline, has_text=False, seed=5)
    assert main(command) == 2
    assert "lora = " in capsys.readouterr().err


def test_columns_are_named_once_and_their_files_are_there(folder):
    file = folder / "taste.safetensors"
    assert read_arms([str(file)])[1] == Arm("taste", file, 1.0, "Weird image. ")
    for words, named in (
        ([], "at least one"),
        ([str(file), str(file)], "'taste'"),
        ([f"base={file}"], "'base'"),
        ([f"{file}:much"], "no file"),
        (["nothing.safetensors"], "no file"),
        ([f"a:b={file}"], "a:b"),
    ):
        with pytest.raises(InputError, match=named):
            read_arms(words)


def test_the_gain_is_the_paired_difference_and_its_interval_is_over_prompts():
    cells = []
    for number in range(40):
        for seed in range(3):
            score = {"base": 0.1 * number, "adapted": 0.1 * number + 0.5 + 0.1 * (-1) ** number, "reg": 0.1 * number}
            files = {arm: Path(arm) for arm in score}
            cells.append(Cell(f"p{number}", seed, files, {"scorer": score}))
    adapted, reg = gains(cells)
    assert (adapted.arm, adapted.mean, adapted.wins) == ("adapted", pytest.approx(0.5), 1.0)
    assert 0.46 < adapted.low < 0.48 < 0.52 < adapted.high < 0.54  # 0.1 / sqrt(40) is the error of the mean
    assert (reg.mean, reg.low, reg.high, reg.wins) == (0, 0, 0, 0)


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium in /usr/bin: the page was not clicked")
def test_votes_are_blind_recorded_as_choices_and_counted(folder, tiny_checkpoint, tmp_path, request):
    pytest.importorskip("playwright.sync_api")
    chromium, port, out = request.getfixturevalue("chromium"), free_port("127.0.0.1"), tmp_path / "out"
    command = arguments(folder, tiny_checkpoint, out, "--vote", "--port", str(port), "--no-browser")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([sys.executable, "-m", "lib_hps.cli", *command], env=environment)
    try:
        url = f"http://127.0.0.1:{port}/hps/v1/data"
        for _ in range(600):
            assert process.poll() is None
            try:
                urllib.request.urlopen(url, timeout=5)
                break
            except OSError:
                time.sleep(0.5)
        page = chromium.new_page(viewport={"width": 1200, "height": 800})
        page.set_default_timeout(60_000)
        page.goto(url)
        for answered in range(4):
            page.get_by_role("button", name="Picture 3").wait_for()
            if not answered:
                page.wait_for_load_state("networkidle")
                assert not re.search("adapted|taste|reg", page.content())
                if SHOTS:
                    page.screenshot(path=f"{SHOTS}/compare-vote.png")
            page.keyboard.press("0" if answered == 3 else "2")
            page.get_by_text(f"{answered + 1} answered", exact=True).wait_for()
        page.get_by_text("Everything was asked").wait_for()
        process.send_signal(signal.SIGINT)
        process.wait(120)
        found = list(read_records(out / "choices"))
        assert [one.ranking.edges for one in found] == [((1, 0), (1, 2))] * 3 + [()]
        assert {one.prompt for one in found} == set(PROMPTS)
        text = (out / "comparison.html").read_text()
        rows = re.findall(r"<tr><td>(\w+) against (\w+)</td><td>(\d+)</td><td>(\d+)</td><td>(\d+)</td></tr>", text)
        assert {(a, b) for a, b, *_ in rows} == {("adapted", "base"), ("reg", "base"), ("reg", "adapted")}
        assert all(sum(map(int, counts)) == 4 for *_, counts in ((a, b, c) for a, b, *c in rows))
        assert sum(int(better) + int(worse) for _, _, better, worse, _ in rows) == 6  # three answers of two edges each
        if SHOTS:
            page.goto((out / "comparison.html").as_uri())
            page.screenshot(path=f"{SHOTS}/compare-result.png", full_page=True)
    finally:
        process.kill()
        process.wait()
