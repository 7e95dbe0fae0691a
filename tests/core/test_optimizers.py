"""One contract for every optimiser, and what each of them is for."""

from __future__ import annotations

import itertools
import json
import math
import random

import numpy as np
import pytest

from lib_hps.errors import InputError
from lib_hps.noise import NoiseRecipe
from lib_hps.ranking import OPTIMIZERS, Optimizer, Ranking, make_optimizer
from lib_hps.ranking.ranksgd import line_search_steps, rank_gradient

DIMENSIONS = 256
ALL = sorted(OPTIMIZERS)


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(DIMENSIONS)


def utility(recipe: NoiseRecipe) -> float:
    """Smooth, with one optimum: how close the noise comes to a hidden one."""
    x = recipe.realise(noise)
    wanted = np.random.default_rng(10_000).standard_normal(DIMENSIONS)
    return float(x @ wanted / np.linalg.norm(x))


def play(optimizer: Optimizer, rounds: int, *, flip: float = 0.0, seed: int = 0) -> float:
    chance = random.Random(seed)
    for _ in range(rounds):
        scores = [utility(candidate.recipe) for candidate in optimizer.ask()]
        if flip:
            pairs = [(a, b) for a, b in itertools.permutations(range(len(scores)), 2) if scores[a] > scores[b]]
            votes = [pair if chance.random() >= flip else pair[::-1] for pair in pairs]
            optimizer.tell(Ranking.from_votes(votes, len(scores)))
        else:
            optimizer.tell(Ranking.from_scores(scores))
    return utility(optimizer.best.recipe)


@pytest.fixture(params=ALL)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


def test_asks_for_a_batch_of_distinct_recipes(name: str) -> None:
    optimizer = make_optimizer(name, seed=7, batch=6)
    for _ in range(5):
        asked = optimizer.ask()
        assert len(asked) == 6
        assert len({candidate.recipe for candidate in asked}) >= 5  # a line search may meet an old point
        optimizer.tell(Ranking.from_scores([utility(c.recipe) for c in asked]))


def test_asking_twice_gives_the_same_candidates(name: str) -> None:
    optimizer = make_optimizer(name, seed=7, batch=6)
    assert optimizer.ask() == optimizer.ask()


def test_the_same_seed_and_answers_give_the_same_candidates(name: str) -> None:
    one, two = (make_optimizer(name, seed=7, batch=6) for _ in range(2))
    play(one, 6)
    play(two, 6)
    assert one.ask() == two.ask()
    other = make_optimizer(name, seed=8, batch=6)
    play(other, 6)
    assert other.ask() != one.ask()


def test_the_state_goes_through_json_and_goes_on_as_if_nothing_happened(name: str) -> None:
    for asks_first in (False, True):
        one = make_optimizer(name, seed=7, batch=6)
        play(one, 4)
        if asks_first:
            one.ask()
        two = make_optimizer(name, seed=7, batch=6)
        two.load_state_dict(json.loads(json.dumps(one.state_dict())))
        assert two.best == one.best
        assert two.ask() == one.ask()
        play(one, 3)
        play(two, 3)
        assert two.state_dict() == one.state_dict()


def test_a_foreign_or_damaged_state_is_refused_and_changes_nothing(name: str) -> None:
    optimizer = make_optimizer(name, seed=7, batch=6)
    play(optimizer, 2)
    before = optimizer.state_dict()
    for change in ({"seed": 8}, {"name": "x"}, {"rounds": [{}]}, {"rounds": None}):
        with pytest.raises(InputError):
            optimizer.load_state_dict({**before, **change})
    with pytest.raises(InputError):
        optimizer.load_state_dict({})
    assert optimizer.state_dict() == before


def test_telling_too_early_or_of_another_number_is_refused(name: str) -> None:
    optimizer = make_optimizer(name, seed=7, batch=6)
    with pytest.raises(InputError, match="ask"):
        optimizer.tell(Ranking.pick(0, 6))
    optimizer.ask()
    with pytest.raises(InputError, match="5 candidates, but 6"):
        optimizer.tell(Ranking.pick(0, 5))


def test_every_kind_of_answer_is_taken(name: str) -> None:
    optimizer = make_optimizer(name, seed=7, batch=6)
    for ranking in (
        Ranking.pick(2, 6),
        Ranking.order([1, (2, 3)], 6),
        Ranking.pairs([(0, 1), (4, 5)], 6),
        Ranking.none_better(6),
        Ranking.none_better(6, 5),
        Ranking.from_scores([1.0] * 6),
        Ranking.from_scores(range(6)),
    ):
        optimizer.ask()
        optimizer.tell(ranking)
    assert len(optimizer.ask()) == 6


def test_none_is_better_keeps_the_incumbent(name: str) -> None:
    optimizer = make_optimizer(name, seed=7, batch=6)
    play(optimizer, 4)
    best = optimizer.best
    shown = [candidate.recipe for candidate in optimizer.ask()]
    if best.recipe not in shown:
        pytest.skip(f"{name} does not show the incumbent in this round")
    optimizer.tell(Ranking.none_better(6, shown.index(best.recipe)))
    assert optimizer.best == best


def test_gains_on_a_smooth_utility_even_from_wrong_answers(name: str) -> None:
    for flip, sure_gain in ((0.0, 2.0), (0.15, 1.3)):
        gains = [play(make_optimizer(name, seed=s * 1000, batch=8), 8, flip=flip, seed=s) for s in range(4)]
        assert sum(gains) / len(gains) > sure_gain


def test_undo_is_a_shorter_history(name: str) -> None:
    optimizer = make_optimizer(name, seed=7, batch=6)
    play(optimizer, 3)
    state = optimizer.state_dict()
    asked = optimizer.ask()
    play(optimizer, 1)
    optimizer.load_state_dict(state)
    assert optimizer.ask() == asked


def test_the_default_beats_every_other_at_60_pictures() -> None:
    def mean_gain(name: str) -> float:
        return sum(play(make_optimizer(name, seed=s * 1000, batch=8), 8) for s in range(4)) / 4

    gains = {name: mean_gain(name) for name in ALL}
    assert max(gains, key=lambda name: gains[name]) == "default", gains


@pytest.mark.parametrize("batch", [2, 3, 12])
def test_the_default_works_from_two_candidates_on(batch: int) -> None:
    assert play(make_optimizer("default", seed=1, batch=batch), 48 // batch) > 2.5


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"name": "adam", "seed": 1, "batch": 4}, "'adam'"),
        ({"name": "default", "seed": -1, "batch": 4}, "-1"),
        ({"name": "default", "seed": 1, "batch": 1}, "batch is 1"),
        ({"name": "default", "seed": 1, "batch": 65}, "batch is 65"),
        ({"name": "default", "seed": 1, "batch": 4, "angle_rad": math.nan}, "nan"),
        ({"name": "default", "seed": 1, "batch": 4, "length": 0}, "length is 0"),
        ({"name": "default", "seed": 1, "batch": 4, "beta": 0}, "beta"),
        ({"name": "zo-ranksgd", "seed": 1, "batch": 3}, "batch is 3"),
        ({"name": "cmaes", "seed": 1, "batch": 8, "dimensions": 1}, "dimensions is 1"),
        ({"name": "random", "seed": 1, "batch": 8, "angle_rad": 7}, "angle_rad is 7"),
    ],
)
def test_bad_parameters_are_refused_by_name(arguments: dict, named: str) -> None:
    with pytest.raises(InputError, match=named):
        make_optimizer(**arguments)


class TestThePublishedDefects:
    """Each defect that the specification lists of the published code, shown not to be here."""

    def test_the_estimate_has_no_bias_along_the_mean_of_the_perturbations(self) -> None:
        xi = np.random.default_rng(0).standard_normal((4, 50))
        shift = np.ones(50)
        ranking = Ranking.order([2, 0, 1, 3], 4)
        assert np.allclose(rank_gradient(xi + shift, ranking), rank_gradient(xi, ranking))

    def test_the_estimate_is_the_papers_sum_over_edges(self) -> None:
        xi = np.random.default_rng(0).standard_normal((6, 50))
        ranking = Ranking.order([4, 1], 6)
        by_edges = sum(xi[j] - xi[i] for i, j in ranking.edges) / len(ranking.edges)
        assert np.allclose(rank_gradient(xi, ranking), by_edges)

    def test_a_shuffled_answer_gives_the_same_search(self) -> None:
        plain, shuffled = (make_optimizer("zo-ranksgd", seed=7, batch=6) for _ in range(2))
        chance = random.Random(3)
        for _ in range(6):
            scores = [utility(candidate.recipe) for candidate in plain.ask()]
            plain.tell(Ranking.from_scores(scores))
            asked = shuffled.ask()
            shown = chance.sample(range(6), 6)
            said = Ranking.from_scores([utility(asked[i].recipe) for i in shown])
            shuffled.tell(said.shown_as(shown))
        assert shuffled.ask() == plain.ask()

    def test_every_point_stays_on_the_shell(self) -> None:
        optimizer = make_optimizer("zo-ranksgd", seed=7, batch=6)
        play(optimizer, 20)
        for candidate in optimizer.ask():
            norm = np.linalg.norm(candidate.recipe.realise(lambda s: np.random.default_rng(s).standard_normal(16384)))
            assert norm == pytest.approx(128, abs=4)  # the shell's radius at 512 px; one sd is 0.71


def test_the_line_search_halves() -> None:
    assert line_search_steps(4.0, 4) == [4.0, 2.0, 1.0, 0.5]
