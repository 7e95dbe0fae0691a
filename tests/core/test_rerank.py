"""Selection: sorted best first, filtered before saving, nothing lost."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib_hps.errors import InputError
from lib_hps.rerank import Wanted, best_first, file_suffix, is_enough, percentile, plan_rounds, select

SCORES = st.lists(st.none() | st.floats(-1, 1), max_size=20)
WANTED = st.builds(
    Wanted,
    keep=st.integers(0, 25),
    minimum_kind=st.sampled_from(["none", "score", "percentile"]),
    minimum=st.floats(0, 1),
)


@given(SCORES, WANTED)
def test_every_picture_is_kept_or_rejected_exactly_once(scores: list[float | None], wanted: Wanted) -> None:
    selection = select(scores, wanted)
    assert sorted(selection.kept + selection.rejected) == list(range(len(scores)))
    kept = [scores[i] for i in selection.kept if scores[i] is not None]
    assert kept == sorted(kept, reverse=True)
    assert not wanted.keep or len(kept) <= wanted.keep
    assert all(scores[i] is not None for i in selection.rejected)
    rejected = [scores[i] for i in selection.rejected]
    assert not kept or not rejected or min(kept) >= max(rejected)


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=20), st.floats(0, 100))
def test_percentile_is_numpys(scores: list[float], percent: float) -> None:
    assert percentile(scores, percent) == pytest.approx(np.percentile(scores, percent), abs=1e-12)


def test_best_comes_first_and_equals_stay_in_order() -> None:
    assert best_first([0.1, 0.3, None, 0.3, math.nan, 0.2]) == [1, 3, 5, 0, 2, 4]


def test_ranks_count_all_scored_pictures() -> None:
    selection = select([0.1, 0.3, None, 0.2], Wanted(keep=1))
    assert selection.ranks == (3, 1, None, 2)
    assert selection.kept == (1, 2)
    assert selection.rejected == (3, 0)


def test_an_absolute_minimum_may_reject_all() -> None:
    selection = select([0.1, 0.2], Wanted(minimum_kind="score", minimum=0.5))
    assert (selection.kept, selection.rejected, selection.threshold) == ((), (1, 0), 0.5)


def test_upper_half_by_percentile() -> None:
    assert select([0.1, 0.4, 0.2, 0.3], Wanted(minimum_kind="percentile", minimum=50)).kept == (1, 3)


def test_nothing_scored_keeps_the_order_of_generation() -> None:
    assert select([None, None, None], Wanted(keep=1, minimum_kind="score", minimum=9)).kept == (0, 1, 2)


def test_early_stop_needs_enough_above_an_absolute_minimum() -> None:
    wanted = Wanted(keep=2, minimum_kind="score", minimum=0.2)
    assert not is_enough([0.3, 0.1], wanted)
    assert is_enough([0.3, 0.1, None, 0.2], wanted)
    assert not is_enough([0.3] * 9, Wanted(keep=2))
    assert not is_enough([0.3] * 9, Wanted(keep=2, minimum_kind="percentile", minimum=10))


def test_rounds_are_whole_batches() -> None:
    assert plan_rounds(candidates=0, batch_count=3, batch_size=2, stops_early=False) == [3]
    assert plan_rounds(candidates=7, batch_count=1, batch_size=2, stops_early=False) == [4]
    assert plan_rounds(candidates=7, batch_count=1, batch_size=2, stops_early=True) == [1, 1, 1, 1]


@pytest.mark.parametrize(
    "wrong",
    [
        {"keep": -1},
        {"minimum_kind": "some"},
        {"minimum": math.nan},
        {"minimum_kind": "percentile", "minimum": 101.0},
    ],
)
def test_wanted_refuses_what_makes_no_sense(wrong: dict) -> None:
    with pytest.raises(InputError, match=r"got"):
        Wanted(**wrong)


def test_file_names_carry_the_score() -> None:
    assert file_suffix(0.27312) == "-hps0.2731"
    assert file_suffix(None) == file_suffix(math.nan) == ""
