"""Every layout is recognised and read; export and import give the same records; split leaks nothing."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from pathlib import Path

import pytest
from board_host import SETTINGS, paint
from preference_sets import MAKERS, damage, hpdv2, imagereward

from lib_hps.cli import main
from lib_hps.preferences.adding import add_records
from lib_hps.preferences.exporting import export_records
from lib_hps.preferences.formats import FORMATS
from lib_hps.preferences.reading import layout_of, read_records
from lib_hps.preferences.records import BrokenRow, Record
from lib_hps.preferences.splitting import part_of, split_records
from lib_hps.preferences.statistics import statistics_of
from lib_hps.ranking import Ranking

SHARED = Path(os.environ.get("HPS_PREFERENCE_DATA", Path(__file__).parents[3] / "shared/data/preferences"))
EXPECTED = {
    "align_sd": ("align_sd", 6),
    "hpdv2": ("hpdv2", 2),
    "imagereward": ("imagereward", 1),
    "pickapic": ("pickapic", 3),
    "agiqa3k": ("agiqa3k", 1),
    "graded": ("graded", 2),
    "liked": ("graded", 1),
}


def never(row: BrokenRow) -> None:
    raise AssertionError(str(row))


def alike(record: Record) -> tuple:
    extra = {key: value for key, value in record.extra.items() if key != "contain_name"}
    digests = tuple(picture.digest() for picture in record.pictures)
    return record.id, record.prompt, digests, record.ranking, record.rater, json.dumps(extra, sort_keys=True)


def records(path: Path, **options) -> list[Record]:
    found = list(read_records(path, **options))
    assert not [one for one in found if isinstance(one, BrokenRow)]
    return found


@pytest.mark.parametrize("name", MAKERS)
def test_a_layout_is_recognised_and_every_row_is_read_with_its_pictures(tmp_path, name):
    path = MAKERS[name](tmp_path / name)
    layout, count = EXPECTED[name]
    assert layout_of(path) == layout
    found = records(path)
    assert len(found) == count
    assert all(picture.read() for one in found for picture in one.pictures)
    assert len({one.id for one in found}) == count


def test_orders_are_read_in_the_right_direction_with_ties(tmp_path):
    train, test = records(hpdv2(tmp_path / "h"))
    assert train.ranking == Ranking.pick(1, 2)
    assert test.ranking == Ranking.order([0, (1, 2)], 3)
    (one,) = records(imagereward(tmp_path / "i"))
    assert one.ranking == Ranking.order([1, (0, 2), 3], 4)
    picked = records(MAKERS["pickapic"](tmp_path / "p"))
    assert [one.ranking.edges for one in picked] == [((0, 1),), ((1, 0),), ()]
    assert len({one.rater for one in picked}) == 2
    (scores,) = records(MAKERS["agiqa3k"](tmp_path / "a"))
    assert (scores.prompt, scores.ranking) == ("statue, a man", Ranking.order([2, 1, 0], 3))
    (same, other) = records(MAKERS["graded"](tmp_path / "g"))
    assert (same.prompt, same.ranking) == ("red cat", Ranking.order([2, 1, 0], 3))
    assert (other.prompt, len(other.pictures)) == ("", 3)
    (like,) = records(MAKERS["liked"](tmp_path / "l"))
    assert (like.prompt, like.extra["scores"], len(like.ranking.edges)) == ("a tree", [1, 3, 3], 2)


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("format", FORMATS)
def test_export_then_read_gives_the_same_records(tmp_path, name, format):
    before = records(MAKERS[name](tmp_path / name))
    out = tmp_path / "out"
    assert export_records(out, before, format, report=never) == len(before)
    assert layout_of(out) == format
    assert list(map(alike, records(out))) == list(map(alike, before))


@pytest.mark.parametrize("name", MAKERS)
def test_import_keeps_the_records_and_a_second_time_adds_nothing(tmp_path, name):
    before = records(MAKERS[name](tmp_path / name))
    wanted = list(map(alike, before))
    folder = tmp_path / "choices"
    assert add_records(folder, before, report=never).added == len(before)
    done = add_records(folder, before, report=never)
    assert (done.added, done.known) == (0, len(before))
    shutil.rmtree(tmp_path / name)  # nothing of the source is needed any more
    assert list(map(alike, records(folder))) == wanted


def test_export_leaves_nothing_where_it_failed_and_refuses_what_is_there(tmp_path, capsys):
    source = MAKERS["align_sd"](tmp_path / "a")

    def fails():
        yield records(source)[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_records(tmp_path / "out", fails(), "webdataset", report=never)
    assert [one.name for one in tmp_path.iterdir()] == ["a"]
    assert main(["data", "export", str(source), "--out", str(source)]) == 2
    assert "is there already" in capsys.readouterr().err


def test_merge_has_the_same_answer_once_and_other_answers_under_their_own_ids(tmp_path, capsys):
    one, two = MAKERS["align_sd"](tmp_path / "x"), MAKERS["pickapic"](tmp_path / "y")
    backup = tmp_path / "backup"
    assert main(["data", "import", str(one), "--into", str(backup)]) == 0
    merged = tmp_path / "merged"
    assert main(["data", "merge", str(one), str(backup), str(two), str(two), "--into", str(merged)]) == 0
    assert "9 choices added, 9 were there already" in capsys.readouterr().out
    assert len({record.id for record in records(merged)}) == 9


def test_check_names_broken_rows_missing_and_damaged_pictures_and_exits_with_1(tmp_path, capsys):
    folder = MAKERS["align_sd"](tmp_path / "a")
    assert main(["data", "check", str(folder)]) == 0
    damage(folder / "preference_images" / "2.png")
    (folder / "preference_images" / "6.png").unlink()
    rows = json.loads((folder / "preference_train.json").read_text())
    rows[3]["human_preference"] = 9
    (folder / "preference_train.json").write_text(json.dumps(rows))
    assert main(["data", "check", str(folder)]) == 1
    lines = capsys.readouterr().out.splitlines()
    text = "\n".join(lines)
    assert "preference_train.json, row 2: The picture 2.png is damaged" in text
    assert "row 3: The picture 2.png is damaged" in text
    assert "row 4: human_preference is 9" in text
    assert "row 6: The picture 6.png is missing" in text
    assert lines[-1] == "2 choices are whole, 4 rows are broken."


@pytest.mark.parametrize("kind", ["webdataset", "pickapic"])
def test_a_damaged_table_or_shard_is_reported(tmp_path, kind):
    if kind == "pickapic":
        folder = MAKERS["pickapic"](tmp_path / "p")
    else:
        folder = tmp_path / "shards"
        export_records(folder, records(MAKERS["align_sd"](tmp_path / "a")), "webdataset", report=never)
    (file,) = folder.iterdir()
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2 + 77])
    *_, last = read_records(folder)
    assert isinstance(last, BrokenRow)
    assert "damaged" in last.reason


def test_pick_a_pic_without_pyarrow_says_what_to_install(tmp_path, monkeypatch, capsys):
    folder = MAKERS["pickapic"](tmp_path / "p")
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    assert main(["data", "stats", str(folder)]) == 2
    assert "pip install 'sd-webui-hps[data]'" in capsys.readouterr().err


def many(count: int) -> list[Record]:
    spelled = ("prompt {}", "Prompt  {}", " PROMPT {} ")
    return [Record(f"r/{n}", spelled[n % 3].format(n // 3), (_picture(),), Ranking(1, ())) for n in range(count)]


def _picture():
    from lib_hps.preferences.records import Picture

    return Picture(Path("table"), b"\x89PNG1", "x")


def test_split_leaks_no_prompt_is_seeded_and_near_the_shares(tmp_path):
    shares = {"train": 0.8, "validation": 0.1, "test": 0.1}
    parts = [part_of(record, shares, 3) for record in many(3000)]
    assert all(len(set(parts[n : n + 3])) == 1 for n in range(0, 3000, 3))
    assert abs(Counter(parts)["test"] / 3000 - 0.1) < 0.03
    assert parts == [part_of(record, shares, 3) for record in many(3000)]
    assert parts != [part_of(record, shares, 4) for record in many(3000)]
    counts = split_records(tmp_path / "out", many(300), shares, seed=3, report=never)
    assert sum(counts.values()) == 300
    prompts = {part: {" ".join(r.prompt.lower().split()) for r in records(tmp_path / "out" / part)} for part in counts}
    assert not prompts["train"] & prompts["test"]
    assert sum(map(len, prompts.values())) == 100


def test_statistics_count_agreement_bias_ties_and_gaps(tmp_path, capsys):
    found = statistics_of(read_records(hpdv2(tmp_path / "h")))
    # two raters: agree on 0>1 and 0>2, not on 1 and 2
    assert (found.agreement, found.judged_twice, found.tied) == (pytest.approx(2 / 3), 3, 1)
    biased = [Record(f"r/{n}", "p", (_picture(), _picture()), Ranking.pick(0, 2)) for n in range(40)]
    assert statistics_of(biased).position_bias() == [(2, 40, 40.0, pytest.approx(2.54e-10, rel=0.01))]
    fair = [Record(f"r/{n}", "p", (_picture(), _picture()), Ranking.pick(n % 2, 2)) for n in range(40)]
    assert statistics_of(fair).position_bias() == [(2, 40, 0.0, 1.0)]
    page = tmp_path / "s.html"
    assert main(["data", "stats", str(MAKERS["agiqa3k"](tmp_path / "a")), "--html", str(page)]) == 0
    text = capsys.readouterr().out
    assert "one rater contradicts the mean order" in text
    assert page.read_text().count("<svg") >= 4


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared label sets are not here (HPS_PREFERENCE_DATA)")
def test_the_real_label_sets_go_through_whole(tmp_path):
    reward, agiqa = SHARED / "imagereward-test.json", SHARED / "agiqa3k.csv"
    labels = records(reward, labels_only=True)
    assert (len(labels), sum(len(one.pictures) for one in labels)) == (466, 2720)
    assert sum(len(one.ranking.edges) for one in labels) == 6399
    missing = list(read_records(reward))
    assert all(isinstance(one, BrokenRow) for one in missing)
    assert sum(one.reason.count("is missing") for one in missing) == 2720
    scored = records(agiqa, labels_only=True)
    assert (len(scored), sum(len(one.pictures) for one in scored)) == (300, 2982)
    assert len(list(read_records(agiqa))) == 2982
    simulacra = records(SHARED / "simulacra-demo")
    assert sorted(score for one in simulacra for score in one.extra["scores"]) == [1] * 5 + [2] * 5 + [3] * 5 + [4] * 5
    assert all(len(one.ranking.edges) == 6 for one in simulacra)
    assert main(["data", "check", str(SHARED / "simulacra-demo")]) == 0
    done = add_records(tmp_path / "c", simulacra, report=never)
    assert (done.added, len(list((tmp_path / "c" / "images").iterdir()))) == (5, 20)


def test_sessions_give_what_a_person_answered(tmp_path):
    from lib_hps.session import SessionStore

    store = SessionStore(tmp_path / "sessions")
    optimizer = {"name": "best-of-n", "seed": 5, "batch": 3, "params": {}}
    session = store.create(name="s", settings=SETTINGS, optimizer=optimizer)
    for by in ("person", "tiny-hps"):
        state = session.ask()
        for index in state.missing():
            recipe = state.asked.candidates[index].recipe.format()
            session.add_picture(recipe, state.key, paint(recipe), "x")
        session.tell(state.round, Ranking.pick(1, 3), by=by)
    assert layout_of(store.root) == layout_of(session.folder) == "sessions"
    (found,) = records(store.root)
    shown = session.state().answers[0].asked.shown
    assert found.ranking == Ranking.pick(shown.index(1), 3)
    assert (found.prompt, found.extra["seed"], len(found.extra["recipes"])) == ("a cat", 5, 3)
    assert found.id.startswith(f"{session.id}/")
