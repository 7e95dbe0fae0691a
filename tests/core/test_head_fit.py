"""When a head is fitted, and when the start model stays as it is."""

from __future__ import annotations

from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("accelerate")

from head_table import make_table  # noqa: E402

from lib_hps.ranking import Ranking  # noqa: E402
from lib_hps.scoring.clip.head_features import THUMBNAIL  # noqa: E402
from lib_hps.scoring.clip.small_network import fresh  # noqa: E402
from lib_hps.training import head_fit  # noqa: E402
from lib_hps.training.head_answers import Answers, answers  # noqa: E402
from lib_hps.training.head_blocks import Block, Table  # noqa: E402

PROMPTS = 40  # of the table, five pictures each


@pytest.fixture(scope="module")
def table() -> Table:
    made = make_table()
    return replace(made, described={**made.described, THUMBNAIL: torch.zeros(200, 3 * 64 * 64, dtype=torch.float16)})


def picked_by(utility: torch.Tensor) -> tuple[Answers, torch.Tensor]:
    """Of each prompt's five pictures the one with the highest utility (200,), and the folds."""
    places = [list(range(5 * prompt, 5 * prompt + 5)) for prompt in range(PROMPTS)]
    best = utility.view(PROMPTS, 5).argmax(dim=1).tolist()
    return answers([Ranking.pick(place, 5) for place in best], places, "softmax"), torch.arange(PROMPTS) % 3


def test_a_taste_is_learned(table):
    learned = head_fit.fit_head(table, *picked_by(table.described["texture"][:, 0]))
    assert learned.loss < learned.start_loss
    assert "texture" in learned.blocks


def test_newton_comes_to_its_end_from_a_start_model_that_is_sure_and_wrong(table):
    """Too few steps and what a family is worth is asked of weights that are still on their way."""
    wrong = replace(table, cosine=30 * table.described["texture"][:, 1])
    known, _ = picked_by(table.described["texture"][:, 0] - table.described["texture"][:, 1])
    columns = table.described["texture"] / 6
    problem = head_fit.Problem({"texture": Block("pixels", columns, lambda terms, weights: None)}, wrong)
    weights = problem.solve(known, problem.begin())
    x = torch.cat([(wrong.cosine / problem.spread)[:, None], columns], dim=1)
    gradient, _ = known.derivatives(x, weights)
    mean = torch.tensor([problem.spread, *[0.0] * columns.shape[1]])
    precision = 1 / torch.tensor([problem.spread**2, *[1.0] * columns.shape[1]])
    assert (gradient + precision * (weights - mean)).abs().max() < 0.1  # of a fit that stopped halfway: 13


def test_answers_by_chance_mostly_leave_the_start_model_as_it_is(table):
    """One standard error lets some through."""
    refused = 0
    for seed in range(5):
        by_chance = torch.rand(200, generator=torch.Generator().manual_seed(seed))
        refused += head_fit.fit_head(table, *picked_by(by_chance)).blocks == {}
    assert refused >= 3


@pytest.mark.parametrize(("lost", "won", "stays"), [(0, 0, False), (3, 2, False), (9, 2, True)])
def test_a_surer_head_is_refused_only_if_it_is_right_less_often_beyond_chance(table, monkeypatch, lost, won, stays):
    """Of 60 answers it loses some that the start model had and wins others."""
    start = torch.tensor([1.0] * 30 + [0.0] * 30)
    head = torch.tensor([0.0] * lost + [1.0] * (30 - lost) + [1.0] * won + [0.0] * (30 - won))

    def held_out(problem, known, folds, variances, *, rounds_anew=0):
        return torch.full((known.examples.numel(),), float(variances[1:].any()))

    def is_head(scores):
        return bool(scores.any())

    monkeypatch.setattr(head_fit.Problem, "held_out", held_out)
    monkeypatch.setattr(Answers, "losses", lambda _, scores: torch.linspace(0.9, 1.1, 60) - 0.2 * is_head(scores))
    monkeypatch.setattr(Answers, "hits", lambda _, scores: head if is_head(scores) else start)
    fitted = head_fit.fit_head(table, *picked_by(table.described["texture"][:, 0]))
    assert (fitted.blocks == {}) is stays


@pytest.mark.parametrize("sign", [1, -1])
def test_networks_stay_where_they_speak_for_the_choices_that_they_did_not_see(table, monkeypatch, sign):
    """Their opinion is given, for learning it takes a hundred choices; the features know nothing of the taste."""
    taste = torch.randn(200, generator=torch.Generator().manual_seed(1))
    known, folds = picked_by(taste)
    stacked = {name: each[None] for name, each in fresh(torch.Generator().manual_seed(2)).items()}
    monkeypatch.setattr(head_fit, "opinions_of_others", lambda *_: sign * taste[known.examples])
    learned = []
    monkeypatch.setattr(head_fit, "learn_networks", lambda *_: learned.append(1) or stacked)
    fitted = head_fit.fit_head(table, known, folds)
    kept = {name.removeprefix("hps_head."): each for name, each in fitted.head.to_tensors().items()}
    if sign < 0:
        assert not any(name.startswith("network") for name in [*kept, *fitted.blocks])
        assert not learned  # what is not kept is not learned from all choices either
        return
    assert fitted.loss < fitted.start_loss
    assert kept["network"] > 0.5
    assert fitted.blocks["network"] == pytest.approx(float(kept["network"]) ** 2)
    assert torch.equal(kept["network.out"], stacked["out"])


def test_where_head_and_networks_both_speak_against_themselves_the_networks_go():
    taste = torch.randn(200, generator=torch.Generator().manual_seed(1))
    known, folds = picked_by(taste)
    own = -taste[known.examples].flatten()
    shares, scores = head_fit._with_networks(known.apart(), folds, own, -taste[known.examples].pow(3))
    assert shares.tolist() == [1, 0]
    assert scores is own
