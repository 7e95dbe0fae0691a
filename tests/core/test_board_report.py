"""A run without a browser leaves a picture and a report, also where it is stopped by Ctrl-C."""

from __future__ import annotations

import re

import pytest
from board_host import SETTINGS, Painter

from lib_hps.board.auto import Plan
from lib_hps.board.report import curve, write_report
from lib_hps.board.trends import Point, is_plateau
from lib_hps.errors import InputError
from lib_hps.hosts.standalone.optimize import plan_of, run_optimize
from lib_hps.infotext import read_generation
from lib_hps.session import SessionStore


@pytest.fixture
def session(tmp_path):
    settings = {**SETTINGS, "prompt": "a <script>cat</script>"}
    optimizer = {"name": "random", "seed": 3, "batch": 4, "params": {}}
    return SessionStore(tmp_path / "sessions").create(name="cat", settings=settings, optimizer=optimizer)


def silent(text, done, preview=None):
    assert 0 <= done <= 1


def test_the_report_shows_every_round_both_curves_and_the_warning(session, tmp_path):
    outcome = run_optimize(session, Painter(), Plan(5, "near", "far"), tmp_path, report=silent)
    html = outcome.report.read_text("utf-8")
    assert "<script>" not in html
    assert html.count("data:image/webp;base64,") == 2 + 5
    assert html.count('<circle class="mark"') == html.count('<circle class="other"') == 5
    assert "far (held out) fell" in html
    assert "All 5 rounds are done, 16 pictures drawn." in html
    assert "HPS noise: " + session.state().best in html
    assert "http" not in html
    assert read_generation(outcome.best).settings["HPS noise"] == session.state().best


def test_ctrl_c_keeps_the_best_so_far(session, tmp_path):
    def interrupted(text, done, preview=None):
        if text.startswith("round 3"):
            raise KeyboardInterrupt

    outcome = run_optimize(session, Painter(), Plan(9, "near"), tmp_path, report=interrupted)
    assert outcome.was_cancelled
    assert len(session.state().answers) == 2
    assert read_generation(outcome.best).settings["HPS noise"] == session.state().best
    assert "Stopped; the best so far is kept." in outcome.report.read_text("utf-8")


def test_ctrl_c_before_the_first_answer_leaves_the_session_alone(session, tmp_path):
    def interrupted(text, done, preview=None):
        raise KeyboardInterrupt

    outcome = run_optimize(session, Painter(), Plan(9, "near"), tmp_path, report=interrupted)
    assert (outcome.best, outcome.report, outcome.was_cancelled) == (None, None, True)
    assert list(tmp_path.iterdir()) == [tmp_path / "sessions"]


def test_the_curve_goes_up_where_the_gain_goes_up():
    svg = curve([Point(1, 0.5, 0.2), Point(2, 1.5, -0.4), Point(3, None, None), Point(4, 2.5, None)])
    gain, holdout = re.findall(r'points="([^"]*)"', svg)
    heights = [float(pair.split(",")[1]) for pair in gain.split()]
    assert heights == sorted(heights, reverse=True)  # SVG counts down
    assert len(holdout.split()) == 2
    assert float(holdout.split()[1].split(",")[1]) > float(holdout.split()[0].split(",")[1])
    assert "No round was answered by a scorer" in curve([Point(1, None, None)])
    assert "nan" not in curve([Point(1, 0.0, None)])


def test_a_session_that_a_person_ranked_has_a_report_too(session, tmp_path):
    from lib_hps.board.drawing import draw_missing
    from lib_hps.ranking import Ranking

    draw_missing(session, Painter(), report=silent, cancelled=lambda: False)
    session.tell(1, Ranking.pick(2, 4), by="person", order=[[1]])
    html = write_report(tmp_path / "r.html", session).read_text("utf-8")
    assert "No round was answered by a scorer" in html
    assert html.count("data:image/webp;base64,") == 2 + 1


@pytest.mark.parametrize(
    ("scores", "patience", "is_one"),
    [
        ([1, 1, 1], 2, True),
        ([1, 2, 2], 2, False),
        ([1, 2, 2, 2], 2, True),
        ([1, 2], 2, False),
        ([3, 1, 2], 2, True),
        ([1, 1 + 1e-9], 1, True),
        ([-5, -4], 1, False),
    ],
)
def test_a_plateau_is_no_gain_for_as_many_rounds_as_one_is_patient(scores, patience, is_one):
    assert is_plateau(scores, patience) is is_one


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"scorer": "near", "holdout": "near"}, "its own held-out"),
        ({"scorer": "near", "rounds": 0}, "rounds is 0"),
        ({"scorer": "near", "images": 1}, "images is 1"),
        ({"scorer": "near", "patience": 0}, "patience is 0"),
        ({"scorer": ""}, "scorer is ''"),
    ],
)
def test_a_plan_that_cannot_be_is_refused_and_named(values, said):
    with pytest.raises(InputError, match=said):
        plan_of({"rounds": 3, **values}, Painter())
    assert plan_of({"scorer": "near", "rounds": 3}, Painter()).holdout == "far"
    assert plan_of({"scorer": "near", "rounds": 3, "holdout": "none"}, Painter()).holdout is None
