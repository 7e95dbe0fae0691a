"""Recorded choices: whole lines with their pictures, in align_sd's names, and answers taken back are gone."""

from __future__ import annotations

import hashlib
import json

import pytest
from board_host import paint

from lib_hps.errors import StorageError
from lib_hps.preferences.choices import Choice, read_choices, record, retract


@pytest.fixture
def pictures(tmp_path):
    paths = [tmp_path / f"{seed}.png" for seed in (1, 2, 3)]
    for path in paths:
        paint(f"{path.stem}*1").save(path)
    return paths


def choice(pictures, id="s/6", **changes) -> Choice:
    values = {
        "prompt": "ein Kätzchen",
        "pictures": pictures,
        "edges": [(2, 0), (2, 1)],
        "best": 2,
        "time": "2026-11-24T03:00:00Z",
        "settings": {"model": "m", "steps": 4},
        "recipes": ["1*1", "2*1", "3*1"],
        "seed": 7,
    }
    return Choice(id=id, **{**values, **changes})


def test_a_choice_has_align_sds_fields_and_its_pictures_by_content(tmp_path, pictures):
    folder = tmp_path / "choices"
    record(folder, choice(pictures))
    (row,) = read_choices(folder)
    assert (row["human_preference"], row["prompt"], row["contain_name"]) == (2, "ein Kätzchen", False)
    assert len(row["user_hash"]) == 16
    for source, path in zip(pictures, row["file_path"], strict=True):
        kept = (folder / path).read_bytes()
        assert kept == source.read_bytes()
        assert path == f"images/{hashlib.sha256(kept).hexdigest()}.png"
    assert (row["edges"], row["recipes"][0], row["model"]) == ([[2, 0], [2, 1]], "1*1", "m")


def test_a_picture_of_two_choices_is_kept_once(tmp_path, pictures):
    folder = tmp_path / "choices"
    record(folder, choice(pictures))
    record(folder, choice(pictures[1:], id="s/12", edges=[(0, 1)], best=0, recipes=["2*1", "3*1"]))
    assert len(list((folder / "images").iterdir())) == 3
    rows = read_choices(folder)
    assert [row["id"] for row in rows] == ["s/6", "s/12"]
    assert rows[0]["user_hash"] == rows[1]["user_hash"]


def test_an_answer_taken_back_is_gone_and_may_be_given_again(tmp_path, pictures):
    folder = tmp_path / "choices"
    record(folder, choice(pictures))
    retract(folder, "s/6")
    assert read_choices(folder) == []
    record(folder, choice(pictures, best=None, edges=[]))
    assert [row["human_preference"] for row in read_choices(folder)] == [-1]


def test_a_torn_last_line_is_none_and_is_cut_off_by_the_next(tmp_path, pictures):
    folder = tmp_path / "choices"
    record(folder, choice(pictures))
    whole = (folder / "choices.jsonl").read_bytes()
    record(folder, choice(pictures, id="s/9"))
    both = (folder / "choices.jsonl").read_bytes()
    for length in range(len(whole), len(both)):
        (folder / "choices.jsonl").write_bytes(both[:length])
        assert [row["id"] for row in read_choices(folder)] == ["s/6"]
    record(folder, choice(pictures, id="s/10"))
    assert [row["id"] for row in read_choices(folder)] == ["s/6", "s/10"]
    assert all(json.loads(line) for line in (folder / "choices.jsonl").read_text("utf-8").splitlines())


def test_a_missing_picture_writes_no_line(tmp_path, pictures):
    folder = tmp_path / "choices"
    with pytest.raises(StorageError, match="Cannot read"):
        record(folder, choice([*pictures, tmp_path / "gone.png"]))
    assert read_choices(folder) == []


def test_a_damaged_line_is_named(tmp_path, pictures):
    folder = tmp_path / "choices"
    record(folder, choice(pictures))
    with (folder / "choices.jsonl").open("ab") as stream:
        stream.write(b"{no}\n")
    with pytest.raises(StorageError, match="Line 2"):
        read_choices(folder)
