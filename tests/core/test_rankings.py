from __future__ import annotations

import itertools
import math
import random

import pytest

from lib_hps.errors import InputError
from lib_hps.ranking import Ranking


def test_a_full_order_weighs_rank_r_with_m_minus_1_minus_2r() -> None:
    assert Ranking.order([2, 0, 3, 1], 4).weights() == [1, -3, 3, -1]


def test_top_k_weighs_the_unranked_with_minus_k() -> None:
    ranking = Ranking.order([4, 1], 6)
    assert len(ranking.edges) == 2 * 6 - 2 * 3 // 2
    assert ranking.weights() == [-2, 3, -2, -2, 5, -2]


@pytest.mark.parametrize(
    "ranking",
    [
        Ranking.order([0, (1, 2)], 5),
        Ranking.pick(3, 5),
        Ranking.pairs([(0, 1), (2, 1), (4, 3)], 5),
        Ranking.none_better(5, 2),
        Ranking.from_scores([0.1, 0.3, 0.3, -1, 2]),
    ],
)
def test_every_kind_of_answer_weighs_to_zero_in_sum_and_survives_json(ranking: Ranking) -> None:
    assert sum(ranking.weights()) == 0
    assert ranking.edges
    assert Ranking.from_dict(ranking.to_dict()) == ranking


def test_ties_know_nothing_of_each_other() -> None:
    ranking = Ranking.order([(0, 1), 2], 3)
    assert ranking.edges == ((0, 2), (1, 2))
    assert ranking.best() == (0, 1)


def test_none_better_names_the_incumbent_or_nothing() -> None:
    assert Ranking.none_better(3, 1).best() == (1,)
    assert Ranking.none_better(3).edges == ()
    assert Ranking.order([], 3).best() == ()


def test_an_answer_in_the_shown_order_is_mapped_back() -> None:
    shown = [2, 0, 1]  # the first picture shown is candidate 2
    said = Ranking.order([0, 2, 1], 3)
    assert said.shown_as(shown) == Ranking.order([2, 1, 0], 3)
    with pytest.raises(InputError, match="permutation"):
        said.shown_as([0, 0, 1])


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: Ranking.order([0, 0], 3), "Candidate 0 is ranked twice"),
        (lambda: Ranking.order([3], 3), "3 is no candidate"),
        (lambda: Ranking.order([-1], 3), "-1 is no candidate"),
        (lambda: Ranking.order([True], 3), "True is no candidate"),
        (lambda: Ranking.pairs([(0, 1), (1, 0)], 3), r"\[0, 1\]"),
        (lambda: Ranking.pairs([(0, 1), (1, 2), (2, 0)], 3), "circle"),
        (lambda: Ranking.pairs([(1, 1)], 3), "better than itself"),
        (lambda: Ranking.from_scores([0.1, math.nan]), "candidate 1 is NaN"),
        (lambda: Ranking.from_scores([]), "0 candidates"),
        (lambda: Ranking.from_dict({"count": 2}), "no ranking"),
        (lambda: Ranking.from_dict({"count": 2, "edges": [[0]]}), "no ranking"),
    ],
)
def test_a_bad_answer_is_refused_by_name(make, named: str) -> None:
    with pytest.raises(InputError, match=named):
        make()


def test_contradicting_votes_are_settled_by_counting() -> None:
    assert Ranking.from_votes([(0, 1), (0, 1), (1, 0)], 2).edges == ((0, 1),)
    assert Ranking.from_votes([(0, 1), (1, 0)], 2).edges == ()
    circle = Ranking.from_votes([(0, 1), (1, 2), (2, 0), (0, 3), (1, 3), (2, 3)], 4)
    assert circle.edges == ((0, 3), (1, 3), (2, 3))


def test_votes_flipped_one_time_in_seven_keep_most_of_the_order() -> None:
    chance = random.Random(1)
    kept = []
    for _ in range(50):
        votes = [(a, b) if chance.random() > 0.15 else (b, a) for a, b in itertools.combinations(range(8), 2)]
        edges = Ranking.from_votes(votes, 8).edges
        kept.append(sum(a < b for a, b in edges) / 28)
    assert sum(kept) / len(kept) > 0.65


def test_what_was_said_through_others_counts() -> None:
    ranking = Ranking.pairs([(0, 1), (1, 2)], 4)
    assert ranking.prefers(0, 2)
    assert not ranking.prefers(2, 0)
    assert not ranking.prefers(0, 3)
