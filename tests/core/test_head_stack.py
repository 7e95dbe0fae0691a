"""A head and networks weighed by choices that neither learned from."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from lib_hps.ranking import Ranking  # noqa: E402
from lib_hps.training.head_answers import Answers, answers  # noqa: E402
from lib_hps.training.head_stack import stack, stacked_apart  # noqa: E402

CHOICES, SHOWN = 300, 4


def picked_by(utility: torch.Tensor) -> Answers:
    """Of every four examples one, each with softmax's probability, over examples of its own."""
    chances = utility.view(CHOICES, SHOWN).softmax(dim=1)
    picks = torch.multinomial(chances, 1, generator=torch.Generator().manual_seed(1))[:, 0].tolist()
    places = [list(range(SHOWN * choice, SHOWN * (choice + 1))) for choice in range(CHOICES)]
    return answers([Ranking.pick(pick, SHOWN) for pick in picks], places, "softmax").apart()


def columns(count: int) -> torch.Tensor:
    return torch.randn(CHOICES * SHOWN, count, generator=torch.Generator().manual_seed(0))


def test_weights_are_those_that_the_answers_were_drawn_with():
    x = columns(2)
    weights = stack(picked_by(x @ torch.tensor([2.0, 1.0])), x)
    torch.testing.assert_close(weights, torch.tensor([2.0, 1.0]), rtol=0.2, atol=0.2)


def test_what_speaks_against_itself_says_nothing():
    x = columns(3)
    weights = stack(picked_by(x @ torch.tensor([2.0, -1.0, 0.0])), x)
    assert weights[0] > 1
    assert weights[1] == 0
    assert (weights >= 0).all()
    assert not stack(picked_by(x @ torch.tensor([-2.0, -1.0, -1.0])), x).any()


def test_a_fold_has_no_part_in_its_own_scores():
    x, folds = columns(2), torch.arange(CHOICES) % 3
    known = picked_by(x @ torch.tensor([2.0, 1.0]))
    before = stacked_apart(known, folds, x)
    known.target[folds == 0] = known.target[folds == 0].flip(1)  # one choice is one row here
    after, is_first = stacked_apart(known, folds, x), (folds == 0).repeat_interleave(SHOWN)
    assert torch.equal(after[is_first], before[is_first])
    assert not torch.equal(after[~is_first], before[~is_first])


def test_a_taste_without_any_doubt_has_an_end():
    x = columns(1)
    sure = picked_by(100 * x[:, 0])
    assert 1 < float(stack(sure, x)) < 100
