"""`hps score` on real files and a real classifier: rows, resume after SIGKILL, sorting and undo, several processes."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lib_hps.cli import main
from lib_hps.infotext import exif_bytes, png_info

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


@pytest.fixture(scope="module")
def scorer(tmp_path_factory) -> str:
    from lib_hps.scoring.classifier_file import ScorerCard, write_classifier
    from lib_hps.scoring.clip.config import ClipConfig, TextConfig, VisionConfig
    from lib_hps.scoring.clip.model import build

    config = ClipConfig(
        embed_dim=16,
        vision=VisionConfig(image_size=28, width=32, layers=1, heads=1, patch_size=14, mlp_width=64),
        text=TextConfig(vocab_size=49408, context_length=77, width=32, layers=1, heads=1, mlp_width=64),
        quick_gelu=True,
    )
    path = tmp_path_factory.mktemp("weights") / "taste.safetensors"
    return str(
        write_classifier(path, dict(build(config, seed=1).state_dict()), config=config, card=ScorerCard(name="taste"))
    )


def write_pictures(folder: Path, count: int, prompt: str = "a cat") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(0)
    for index in range(count):
        pixels = generator.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        text = f"{prompt}\nSteps: 1, Sampler: DDIM, CFG scale: 7, Seed: {index}"
        Image.fromarray(pixels).resize((32, 32)).save(folder / f"{index:05d}.png", pnginfo=png_info(text))
    return folder


def rows_of(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def run(*arguments: object) -> int:
    return main(["score", *map(str, arguments), "--device", "cpu"])


def test_each_pictures_own_prompt_is_used_and_ranks_are_within_it(tmp_path, scorer):
    write_pictures(tmp_path / "in", 4)
    write_pictures(tmp_path / "in" / "dogs", 3, "a (dog:1.2)")
    out = tmp_path / "scores.jsonl"
    assert run(tmp_path / "in", "--scorer", scorer, "--out", out, "--html", tmp_path / "s.html") == 0
    rows = rows_of(out)
    assert list(rows[0]) == ["file", "prompt", "scorer", "score", "rank"]
    assert [(row["prompt"], row["rank"]) for row in rows] == [
        *(("a cat", n) for n in (1, 2, 3, 4)),
        *(("a (dog:1.2)", n) for n in (1, 2, 3)),
    ]
    scores = [row["score"] for row in rows[:4]]
    assert scores == sorted(scores, reverse=True)
    assert "data:image/webp" in (tmp_path / "s.html").read_text()
    assert not list(tmp_path.glob(".scores*"))


def test_prompts_come_from_a_list_or_one_for_all_and_rows_go_to_csv_or_standard_output(tmp_path, scorer, capsys):
    folder = write_pictures(tmp_path / "in", 2)
    meta = tmp_path / "in" / "meta.jsonl"
    meta.write_text('{"file": "00000.png", "prompt": "x"}\n\n{"file": "00001.png", "prompt": "y, \\"z\\""}\n')
    assert run(folder, "--scorer", scorer, "--prompts", meta, "--out", tmp_path / "a.csv") == 0
    with (tmp_path / "a.csv").open() as stream:
        assert [row["prompt"] for row in csv.DictReader(stream)] == ["x", 'y, "z"']
    assert run(folder, "--scorer", scorer, "--prompt", "q") == 0
    printed = capsys.readouterr().out
    assert [json.loads(line)["prompt"] for line in printed.splitlines()] == ["q", "q"]


def test_bad_files_are_reported_and_the_rest_goes_on(tmp_path, scorer, capsys):
    folder = write_pictures(tmp_path / "in", 3)
    (folder / "zero.png").write_bytes(b"")
    (folder / "half.png").write_bytes((folder / "00000.png").read_bytes()[:-200])
    (folder / "text.jpg").write_text("no picture")
    Image.new("RGB", (8, 8)).save(folder / "silent.png")
    Image.new("RGB", (8, 8)).save(folder / "empty.jpg", exif=exif_bytes("<lora:x:1>"))
    assert run(folder, "--scorer", scorer, "--out", tmp_path / "s.jsonl") == 1
    said = capsys.readouterr().err
    assert len(rows_of(tmp_path / "s.jsonl")) == 3
    for name in ("zero.png", "half.png", "text.jpg", "silent.png", "empty.jpg"):
        assert name in said
    assert "5 problems" in said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["none"], "no file or folder"),
        ([".", "--out", "x.txt"], "jsonl or .csv"),
        ([], "Give the pictures"),
        ([".", "--scorer", "nope"], "nope"),
    ],
)
def test_errors_are_one_line_and_exit_code_2(tmp_path, monkeypatch, capsys, arguments, words):
    monkeypatch.chdir(write_pictures(tmp_path / "in", 1))
    assert run(*arguments) == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1


def command(folder: Path, scorer: str, out: Path) -> list[str]:
    return ["-m", "lib_hps.cli", "score", str(folder), "--scorer", scorer, "--out", str(out)]


def test_a_run_killed_by_sigkill_goes_on_and_scores_nothing_twice(tmp_path, scorer):
    folder = write_pictures(tmp_path / "in", 1500)
    out, journal = tmp_path / "killed.jsonl", tmp_path / ".killed.jsonl.journal-0"
    process = subprocess.Popen(
        [sys.executable, *command(folder, scorer, out)], env=ENVIRONMENT, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    while (not journal.exists() or journal.stat().st_size < 4000) and time.monotonic() < deadline:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not out.exists()
    with journal.open("ab") as stream:
        stream.write(b'{"file": "torn')
    kept = journal.read_bytes().count(b"\n")
    assert 0 < kept < 1500
    again = subprocess.run(
        [sys.executable, *command(folder, scorer, out)], env=ENVIRONMENT, capture_output=True, text=True, check=True
    )
    assert f"{kept} of them in an earlier run" in again.stderr
    assert not journal.exists()
    assert run(folder, "--scorer", scorer, "--out", tmp_path / "whole.jsonl") == 0
    assert rows_of(out) == rows_of(tmp_path / "whole.jsonl")


def test_a_batch_that_was_cut_short_is_scored_whole_so_that_its_scores_stay_the_same(tmp_path, scorer, monkeypatch):
    from lib_hps.cli.folder import run as runs

    folder, out, given = write_pictures(tmp_path / "in", 40), tmp_path / "s.jsonl", []
    score = runs._score
    monkeypatch.setattr(runs, "_score", lambda model, items, *rest: given.append(items) or score(model, items, *rest))
    with monkeypatch.context() as patch:
        patch.setattr(runs, "discard_journals", lambda out: None)
        assert run(folder, "--scorer", scorer, "--out", out, "--batch-size", "16") == 0
    whole, journal = out.read_bytes(), tmp_path / ".s.jsonl.journal-0"
    journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:21]))
    out.unlink()
    assert run(folder, "--scorer", scorer, "--out", out, "--batch-size", "16") == 0
    assert [len(items) for items in given] == [40, 24]  # the first batch is done, of the second five pictures are
    assert out.read_bytes() == whole


def test_a_changed_file_is_scored_again(tmp_path, scorer, monkeypatch):
    monkeypatch.setattr("lib_hps.cli.folder.run.discard_journals", lambda out: None)
    folder, out = write_pictures(tmp_path / "in", 2), tmp_path / "s.jsonl"
    assert run(folder, "--scorer", scorer, "--out", out) == 0
    before = {Path(row["file"]).name: row["score"] for row in rows_of(out)}
    Image.new("RGB", (8, 8), "red").save(folder / "00001.png", pnginfo=png_info("a cat"))
    assert run(folder, "--scorer", scorer, "--out", out) == 0
    after = {Path(row["file"]).name: row["score"] for row in rows_of(out)}
    assert after["00000.png"] == before["00000.png"]
    assert after["00001.png"] != before["00001.png"]


WITNESS = """
import sys
from pathlib import Path
from lib_hps.cli import main
from lib_hps.cli.folder import launch, run

join, score = launch.join, run._score

def joined():
    share = join()
    Path(sys.argv[1], f"processes-{share.rank}").write_text(str(share.count))
    return share

def scored(scorer, items, journal, share):
    Path(sys.argv[1], f"items-{share.rank}").write_text(str(len(items)))
    return score(scorer, items, journal, share)

launch.join, run._score = joined, scored
sys.exit(main(sys.argv[2:]))
"""


def test_two_processes_share_the_pictures_and_give_the_rows_of_one(tmp_path, scorer):
    folder = write_pictures(tmp_path / "in", 150)
    (folder / "zero.png").write_bytes(b"")
    program, two = tmp_path / "witness.py", tmp_path / "two.jsonl"
    program.write_text(WITNESS)
    # torchrun, because `accelerate launch --cpu --num_processes 2` starts one process where no GPU is
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", str(program)]
    done = subprocess.run(
        [*launch, str(tmp_path), *command(folder, scorer, two)[2:]],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert two.exists(), done.stderr
    assert done.stderr.count("zero.png") >= 1
    assert [(tmp_path / f"processes-{rank}").read_text() for rank in (0, 1)] == ["2", "2"]
    shares = [int((tmp_path / f"items-{rank}").read_text()) for rank in (0, 1)]
    assert sum(shares) == 150
    assert min(shares) > 20
    assert run(folder, "--scorer", scorer, "--out", tmp_path / "one.jsonl") == 1
    ours, theirs = (
        {row["file"]: row["score"] for row in rows_of(tmp_path / f"{name}.jsonl")} for name in ("two", "one")
    )
    assert ours == pytest.approx(theirs, abs=2e-6)  # the last digit goes with the batch's composition
    assert not list(tmp_path.glob(".two*"))


@pytest.mark.parametrize("mode", ["move", "copy", "prefix"])
def test_sorting_loses_nothing_overwrites_nothing_and_can_be_undone(tmp_path, scorer, mode):
    folder = write_pictures(tmp_path / "in", 5)
    blocker = folder / ("hps-sorted/1_00000.png" if mode != "prefix" else "1_00000.txt")
    blocker.parent.mkdir(exist_ok=True)
    blocker.write_text("precious")
    before = {path.name: path.read_bytes() for path in folder.glob("*.png")}
    out = tmp_path / "s.jsonl"
    assert run(folder, "--scorer", scorer, "--out", out, "--sort", mode) == 0
    rows = rows_of(out)
    assert all(Path(row["file"]).exists() for row in rows)
    made = folder if mode == "prefix" else folder / "hps-sorted"
    sorted_names = sorted(path.name for path in made.glob("[1-5]_*.png") if path.read_bytes() in before.values())
    assert [Path(row["file"]).name.rpartition("_")[2][:5] for row in rows] == [
        name.partition("_")[2][:5] for name in sorted_names
    ]
    assert {path.name for path in folder.glob("0*.png")} == (set(before) if mode == "copy" else set())
    assert main(["score", "--undo", str(tmp_path / "s.undo.json")]) == 0
    assert {path.name: path.read_bytes() for path in folder.glob("*.png")} == before
    assert blocker.read_text() == "precious"
    assert not (tmp_path / "s.undo.json").exists()


def test_a_sort_that_was_cut_short_is_undone_too(tmp_path):
    from lib_hps.cli.folder.sorting import perform, plan, undo, write_undo

    folder = write_pictures(tmp_path / "in", 3)
    before = {path.name: path.read_bytes() for path in folder.glob("*.png")}
    rows = [
        {"file": str(path), "prompt": "p", "scorer": "s", "score": 0.0, "rank": rank}
        for rank, path in enumerate(sorted(folder.glob("*.png")), 1)
    ]
    steps = plan(rows, "move")
    undo_list = write_undo(tmp_path / "undo.json", "move", steps)
    perform(steps[:1], "move")
    os.link(steps[1]["source"], steps[1]["target"])  # killed between the new name and the old one's removal
    assert undo(undo_list) == []
    assert {path.name: path.read_bytes() for path in folder.rglob("*.png")} == before


def test_import_and_help_need_no_torch():
    code = "import sys, lib_hps, lib_hps.cli, lib_hps.infotext, lib_hps.sheet; lib_hps.cli.build_parser();"
    code += "assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], env=ENVIRONMENT, check=True)
