"""`hps optimize` on the real pipeline: what it leaves behind, and what it refuses."""

from __future__ import annotations

import pytest
from random_models import write_scorer

from lib_hps.cli import main
from lib_hps.infotext import read_generation
from lib_hps.session import SessionStore


@pytest.fixture(scope="module")
def scorer(tmp_path_factory) -> str:
    return write_scorer(tmp_path_factory.mktemp("scorer") / "taste.safetensors")


def test_optimize_leaves_the_best_picture_a_report_and_a_session_that_opens(tiny_checkpoint, scorer, tmp_path, capsys):
    out = tmp_path / "run"
    command = ["optimize", "--prompt", "a <b>cat</b>", "--checkpoint", str(tiny_checkpoint), "--scorer", scorer]
    other = write_scorer(tmp_path / "watcher.safetensors")
    command += [
        "--holdout",
        other,
        "--rounds",
        "3",
        "--batch",
        "3",
        "--optimizer",
        "random",
        "--steps",
        "2",
        "--seed",
        "4",
    ]
    assert main([*command, "--sampler", "DDIM", "--size", "64x64", "--device", "cpu", "--out", str(out)]) == 0
    said = capsys.readouterr()
    assert said.out.split() == [str(out / "best.png"), str(out / "report.html")]
    assert "All 3 rounds are done, 7 pictures drawn" in said.err
    html = (out / "report.html").read_text("utf-8")
    assert "<b>cat" not in html
    assert html.count('<circle class="mark"') == html.count('<circle class="other"') == 3
    assert html.count("data:image/webp;base64,") == 2 + 3
    assert "http" not in html
    assert "watcher (held out" in html
    (line,) = SessionStore(out / "sessions").listing()
    state = SessionStore(out / "sessions").open(line.id).state()
    assert [answer.holdout_by for answer in state.answers] == ["watcher"] * 3
    scores = [answer.score for answer in state.answers]
    assert scores == sorted(scores)
    assert read_generation(out / "best.png").settings["HPS noise"] == state.best


def test_optimize_refuses_what_cannot_be_in_one_sentence(tiny_checkpoint, scorer, tmp_path, capsys):
    command = ["optimize", "--prompt", "x", "--checkpoint", str(tiny_checkpoint), "--scorer", scorer, "--device", "cpu"]
    command += ["--out", str(tmp_path / "o"), "--size", "64x64", "--steps", "2"]
    for more, said in (
        (["--rounds", "0"], "rounds is 0"),
        (["--batch", "1"], "batch is 1"),
        (["--optimizer", "magic"], "no optimiser 'magic'"),
        (["--sampler", "magic"], "no sampler 'magic'"),
        (["--size", "63x64"], "multiple of 8"),
        (["--holdout", "magic"], "'magic' is not known"),
        (["--images", "2"], "one round alone draws"),
    ):
        assert main([*command, *more]) == 2
        assert said in capsys.readouterr().err
    assert not (tmp_path / "o" / "report.html").exists()
