"""`hps demo --auto` leaves pictures, scores and a report; the studio keeps the best and survives a cancel."""

import json

import pytest
from random_models import write_scorer

from lib_hps.errors import InputError
from lib_hps.hosts.standalone import form
from lib_hps.hosts.standalone.demo import run_demo
from lib_hps.hosts.standalone.outputs import history, zip_job
from lib_hps.hosts.standalone.studio import Studio
from lib_hps.infotext import read_generation


@pytest.fixture(scope="module")
def scorer(tmp_path_factory):
    return write_scorer(tmp_path_factory.mktemp("scorer") / "taste.safetensors")


def job(scorer, *, count=6, keep=2, seed=3):
    return form.make_job("a cat", "", 3, "Euler", 4.0, "64 x 64", seed, 2, count, keep, scorer)


def test_the_demo_writes_pictures_scores_and_a_report_with_a_held_out_judge(tmp_path, tiny_checkpoint, scorer):
    holdout = write_scorer(tmp_path / "other.safetensors")
    drawn = []
    report = run_demo(
        tmp_path / "out",
        prompts=["a cat", "a dog"],
        seeds=3,
        scorer=scorer,
        holdout=holdout,
        checkpoint=tiny_checkpoint,
        device="cpu",
        steps=3,
        on_picture=lambda: drawn.append(1),
    )
    rows = [json.loads(line) for line in report.scores.read_text().splitlines()]
    assert len(drawn) == len(rows) == report.pictures == 6
    assert [row["rank"] for row in rows] == [1, 2, 3, 1, 2, 3]
    assert all({"file", "prompt", "scorer", "score", "rank"} <= row.keys() for row in rows)
    found = read_generation(tmp_path / "out" / rows[0]["file"])
    assert (found.prompt, found.settings["HPS rank"]) == ("a cat", "1/3")
    assert report.html.read_text().count("data:image/webp") == 6


def test_the_best_of_many_are_kept_and_the_same_seed_gives_the_same_files(tmp_path, pipeline, scorer):
    studio = Studio(pipeline, tmp_path, scorer=scorer, device="cpu")
    *_, last = studio.run(job(scorer))
    *_, full = studio.run(job(scorer, keep=6))
    assert (last.drawn, len(last.saved), len(full.saved)) == (6, 2, 6)
    assert [one.score for one in last.ranked] == [one.score for one in full.ranked][:2]
    assert last.saved[0].path.read_bytes() == full.saved[0].path.read_bytes()
    assert len(history(tmp_path)) == 8
    assert zip_job(full.saved).is_file()


def test_a_cancelled_job_saves_what_is_finished_and_an_early_one_nothing(tmp_path, pipeline, scorer):
    studio = Studio(pipeline, tmp_path, scorer=scorer, device="cpu")
    looks = []
    *_, last = studio.run(job(scorer, keep=6), cancelled=lambda: len(looks) > 3 or looks.append(1) is not None)
    assert last.drawn == len(last.saved) == 2
    *_, none = studio.run(job(scorer), cancelled=lambda: True)
    assert none.saved == ()


def test_the_form_refuses_what_cannot_be():
    for size in ("64", "axb", "", "99999999 x 2"):
        with pytest.raises(InputError, match="size"):
            form.parse_size(size)
    assert form.parse_size("64×96") == (64, 96)
    with pytest.raises(InputError, match="prompt"):
        form.make_job(" ", "", 3, "Euler", 4.0, "64 x 64", 1, 1, 1, 1, "x")
    assert form.make_job("p", "", 3, "Euler", 4.0, "64 x 64", -1, 1, 1, 1, "x").request.seed >= 0


def test_settings_of_a_picture_go_back_into_the_form(tmp_path, pipeline, scorer):
    studio = Studio(pipeline, tmp_path, scorer=scorer, device="cpu")
    *_, last = studio.run(form.make_job("a cat", "", 2, "DPM++ 2M Karras", 4.5, "64 x 64", 9, 1, 1, 1, scorer))
    found = read_generation(last.saved[0].path)
    assert form.form_values(found.settings) == (2, "DPM++ 2M Karras", 4.5, "64 x 64", 9)
