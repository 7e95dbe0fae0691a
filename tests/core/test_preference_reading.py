"""Reading preference data: the layout is recognised, rows stream, and every broken one is named with file and row."""

from __future__ import annotations

import json

import pytest
from board_host import paint

from lib_hps.errors import InputError
from lib_hps.preferences.choices import Choice, record, retract
from lib_hps.preferences.readers.json_rows import json_rows
from lib_hps.preferences.reading import layout_of, read_records
from lib_hps.preferences.records import BrokenRow, Record


@pytest.fixture
def pictures(tmp_path):
    paths = [tmp_path / "drawn" / f"{seed}.png" for seed in (1, 2, 3)]
    paths[0].parent.mkdir()
    for path in paths:
        paint(f"{path.stem}*1").save(path)
    return paths


def write_align_sd(folder, rows, name="preference_train.json"):
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(json.dumps(rows))
    return folder / name


def row(n, **changes):
    values = {"human_preference": 1, "prompt": "a cat", "id": n, "file_path": ["1.png", "2.png"], "user_hash": "u"}
    return {**values, "contain_name": False, **changes}


def choose(folder, pictures, id, **changes):
    values = {"prompt": "a cat", "edges": [(2, 0), (2, 1)], "best": 2, "time": "2026-11-24T03:00:00Z"}
    record(folder, Choice(id=id, pictures=pictures, **{**values, **changes}))


def test_our_own_folder_gives_what_was_recorded(tmp_path, pictures):
    folder = tmp_path / "choices"
    choose(folder, pictures, "s/1", settings={"model": "m"}, recipes=["1*1", "2*1", "3*1"], seed=7)
    (found,) = read_records(folder)
    assert (found.id, found.prompt, found.ranking.edges) == ("s/1", "a cat", ((2, 0), (2, 1)))
    assert [one.read() for one in found.pictures] == [path.read_bytes() for path in pictures]
    assert (found.extra["model"], found.extra["seed"], found.extra["recipes"][0]) == ("m", 7, "1*1")
    assert len(found.rater) == 16
    assert "choices.jsonl, row 1" in found.source


def test_of_lines_with_one_id_the_last_counts_and_taken_back_ones_are_gone(tmp_path, pictures):
    folder = tmp_path / "choices"
    choose(folder, pictures, "a")
    choose(folder, pictures, "b", prompt="first")
    choose(folder, pictures, "b", prompt="second")
    retract(folder, "a")
    assert [one.prompt for one in read_records(folder)] == ["second"]
    choose(folder, pictures, "a", prompt="again")
    assert [one.prompt for one in read_records(folder)] == ["second", "again"]


def test_damaged_and_torn_lines_are_reported_and_the_others_read(tmp_path, pictures):
    folder = tmp_path / "choices"
    choose(folder, pictures, "a")
    choose(folder, pictures, "b")
    lines = (folder / "choices.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "choices.jsonl").write_bytes(lines[0] + b"{damaged\n" + lines[1] + lines[0][:40])
    kinds = [(type(one), getattr(one, "row", None)) for one in read_records(folder)]
    assert kinds == [(Record, None), (BrokenRow, 2), (Record, None), (BrokenRow, 4)]


def test_align_sd_is_recognised_with_either_name_of_its_field(tmp_path, pictures):
    second = row(2)
    second["pap_pref"] = second.pop("human_preference")
    file = write_align_sd(pictures[0].parent, [row(1), second])
    assert layout_of(file) == layout_of(file.parent) == "align_sd"
    found = list(read_records(file))
    assert [one.ranking.edges for one in found] == [((1, 0),)] * 2
    assert [one.id for one in found] == ["1", "2"]
    assert found[0].pictures[1].read() == pictures[1].read_bytes()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"human_preference": 2}, "human_preference is 2"),
        ({"human_preference": True}, "human_preference is True"),
        ({"human_preference": None}, "human_preference is None"),
        ({"file_path": []}, "not a list of at least one"),
        ({"file_path": ["1.png", "nothing.png"]}, "picture nothing.png is missing"),
        ({"file_path": ["1.png", "../1.png"]}, "outside the data folder"),
        ({"file_path": ["1.png", "/etc/passwd"]}, "outside the data folder"),
        ({"file_path": ["1.png", "..\\1.png"]}, "outside the data folder"),
        ({"file_path": ["1.png", "C:\\1.png"]}, "outside the data folder"),
        ({"file_path": ["1.png", 3]}, "no name of a picture"),
        ({"file_path": ["1.png", "out.png"]}, "link out of the data folder"),
        ({"prompt": 3}, "prompt is '3', not text"),
        ({"edges": [[0, 1], [1, 0]]}, "contradict each other"),
        ({"edges": [[0, 7]]}, "no candidate"),
    ],
)
def test_a_broken_row_is_named_and_the_next_is_read(tmp_path, pictures, changes, words):
    (tmp_path / "secret.png").write_bytes(b"x")
    (pictures[0].parent / "out.png").symlink_to(tmp_path / "secret.png")
    file = write_align_sd(pictures[0].parent, [row(1), row(2, **changes), row(3)])
    first, broken, third = read_records(file)
    assert isinstance(first, Record)
    assert isinstance(third, Record)
    assert (broken.file, broken.row) == (file, 2)
    assert words in broken.reason


def test_labels_alone_can_be_read_and_pictures_may_lie_elsewhere(tmp_path, pictures):
    file = write_align_sd(tmp_path / "labels", [row(1)])
    assert "1.png is missing" in str(next(read_records(file)))
    assert isinstance(next(read_records(file, labels_only=True)), Record)
    found = next(read_records(file, images=pictures[0].parent))
    assert found.pictures[0].read() == pictures[0].read_bytes()


@pytest.mark.parametrize("cut", [1, 30, 150, 220, 300])
def test_a_list_that_ends_early_is_reported_after_its_whole_rows(tmp_path, pictures, cut):
    file = write_align_sd(pictures[0].parent, [row(n) for n in range(3)])
    whole = file.read_text()
    file.write_text(whole[:cut])
    *records, broken = read_records(file, layout="align_sd")
    assert len(records) == whole[:cut].count("}")
    assert "no JSON list" in broken.reason


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 64])
def test_rows_of_a_list_do_not_depend_on_the_chunks(tmp_path, monkeypatch, chunk):
    monkeypatch.setattr("lib_hps.preferences.readers.json_rows._CHUNK", chunk)
    rows = [{"a": "x,]}" * 9, "b": [1, 2.5e3]}, 12, -3.25, None, "ä\\n", [], {"c": {}}, True]
    file = tmp_path / "list.json"
    for text in (json.dumps(rows), json.dumps(rows, indent=2), " [\n] ", "\ufeff" + json.dumps(rows)):
        file.write_text(text)
        assert [one for _, one in json_rows(file)] == ([] if "{" not in text else rows)


def test_what_is_no_preference_data_is_refused_with_what_is_known(tmp_path):
    (tmp_path / "x.txt").write_text("x")
    with pytest.raises(InputError, match="align_sd"):
        read_records(tmp_path / "x.txt")
    with pytest.raises(InputError, match="There is no"):
        read_records(tmp_path / "nothing")
    with pytest.raises(InputError, match="no layout"):
        read_records(tmp_path / "x.txt", layout="abc")
