"""Selection is the paper's formula, with a reason for every picture."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lib_hps.cli import main
from lib_hps.errors import InputError
from lib_hps.infotext import png_info
from lib_hps.preferences.records import Picture, Record
from lib_hps.ranking import Ranking
from lib_hps.training.selection.picking import from_record, in_ratio, is_blurry, pairs_of, pick, regularisation

FILES = [(Path(f"{index}.png"), "a cat") for index in range(5)]


def test_best_and_worst_are_taken_where_p_exceeds_two_over_n():
    scores = [0.20, 0.21, 0.25, 0.205, 0.17]
    best, worst = pick("g", FILES, scores, sharpness=100)
    powers = [math.exp(100 * (score - 0.25)) for score in scores]
    assert (best.file.name, best.kind, best.caption) == ("2.png", "positive", "a cat")
    assert best.p == pytest.approx(1 / sum(powers))
    assert (worst.file.name, worst.kind, worst.caption) == ("4.png", "negative", "Weird image. a cat")
    assert worst.p == pytest.approx(1 / sum(math.exp(-100 * (score - 0.17)) for score in scores))


def test_no_picture_is_taken_where_none_stands_out_or_there_are_too_few():
    assert pick("g", FILES, [0.2] * 5, sharpness=100) == []
    assert pick("g", FILES[:3], [0.1, 0.2, 0.9], sharpness=100) == []
    only_best = pick("g", FILES, [0.2, 0.2, 0.2, 0.2, 0.25], sharpness=100)
    assert [one.kind for one in only_best] == ["positive"]


@pytest.mark.parametrize(("step", "is_soft"), [(9, True), (10, False)])
@pytest.mark.parametrize("axis", [0, 1])
def test_the_blur_filter_looks_in_both_directions(axis, step, is_soft):
    pixels = np.zeros((8, 8, 3), dtype=np.uint8)
    pixels[(slice(4, None), slice(None)) if axis == 0 else (slice(None), slice(4, None))] = step
    assert is_blurry(Image.fromarray(pixels)) is is_soft


def test_the_ratio_bounds_the_other_kinds_and_keeps_every_positive():
    rows = [one for number in range(37) for one in pick(str(number), FILES, [0.2, 0.2, 0.3, 0.2, 0.1], sharpness=100)]
    rows += regularisation([(Path(f"r{number}.png"), "x") for number in range(500)], "r")
    kept = in_ratio(rows, (37, 21, 200))
    assert [sum(one.kind == kind for one in kept) for kind in ("positive", "negative", "regularisation")] == [
        37,
        21,
        200,
    ]
    assert kept == in_ratio(rows, (37, 21, 200))
    assert len(in_ratio(rows, None)) == len(rows)
    with pytest.raises(InputError, match="ratio"):
        in_ratio(rows, (0, 1, 1))


def test_recorded_choices_give_best_and_worst_and_pairs():
    pictures = tuple(Picture(Path(f"{index}.png")) for index in range(3))
    picked = from_record(Record("7", "a dog", pictures, Ranking.order([1, 0, 2], 3)))
    assert [(one.file.name, one.kind) for one in picked] == [("1.png", "positive"), ("2.png", "negative")]
    assert pairs_of(picked) == [{"prompt": "a dog", "winner": "1.png", "loser": "2.png"}]


def test_the_command_writes_a_manifest_that_the_trainer_reads(tmp_path, capsys):
    from lib_hps.training.lora.examples import read_manifest, read_pairs

    random = np.random.default_rng(0)
    for number in range(6):
        image = Image.fromarray(random.integers(0, 256, (64, 64, 3), dtype=np.uint8))
        image.save(tmp_path / f"{number}.png", pnginfo=png_info("red heart <lora:x:1>\nSteps: 1, Seed: 1, Size: 64x64"))
    Image.new("RGB", (64, 64), "red").save(tmp_path / "blurry.png", pnginfo=png_info("red heart"))
    (tmp_path / "reg").mkdir()
    Image.new("RGB", (64, 64), "red").save(tmp_path / "reg" / "a.jpg")
    (tmp_path / "reg" / "a.txt").write_text("something else")
    captions = tmp_path / "captions.jsonl"
    captions.write_text(json.dumps({"file_name": "reg/a.jpg", "text": "something else"}) + "\n")
    out = tmp_path / "out"
    (tmp_path / "pictures").mkdir()
    for file in tmp_path.glob("*.png"):
        file.rename(tmp_path / "pictures" / file.name)
    command = ["select", str(tmp_path / "pictures"), "--out", str(out), "--pairs", "--device", "cpu"]
    assert main([*command, "--sharpness", "100000", "--regularisation", str(captions)]) == 1
    assert "blurry.png is blurry" in capsys.readouterr().err
    rows = read_manifest(out / "manifest.jsonl")
    assert [row.kind for row in rows] == ["positive", "negative", "regularisation"]
    assert all(row.file.is_file() for row in rows)
    assert [row.caption for row in rows] == ["red heart", "Weird image. red heart", "something else"]
    assert len(read_pairs(out / "pairs.jsonl")) == 1
    assert "best of 6" in (out / "selection.html").read_text()
    assert json.loads((out / "manifest.jsonl").read_text().splitlines()[0]).keys() >= {"score", "p", "reason", "group"}


def test_pictures_are_drawn_and_what_is_not_picked_is_regularisation_and_other_settings_are_refused(tmp_path, capsys):
    pytest.importorskip("diffusers")
    (tmp_path / "p.txt").write_text("red heart, noto style\nblue star, noto style\n")
    command = ["select", "--prompts", str(tmp_path / "p.txt"), "--seeds", "4", "--out", str(tmp_path / "out")]
    command += ["--sampler", "DDIM", "--device", "cpu", "--sharpness", "1e6", "--ratio", "all"]
    assert main([*command, "--regularisation", "rest", "--steps", "2"]) == 0
    rows = [json.loads(line) for line in (tmp_path / "out" / "manifest.jsonl").read_text().splitlines()]
    kinds = [row["kind"] for row in rows]
    assert [kinds.count(kind) for kind in ("positive", "negative", "regularisation")] == [2, 2, 4]
    assert len({row["file"] for row in rows}) == 8
    assert all(row["caption"] in row["prompt"] for row in rows if row["kind"] == "regularisation")
    capsys.readouterr()
    assert main([*command, "--steps", "3"]) == 2
    assert "steps = 2, now it is 3" in capsys.readouterr().err
