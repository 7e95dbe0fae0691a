"""Losses of preferences against plain formulas in float64, values and gradients."""

from __future__ import annotations

import itertools
import math

import pytest

torch = pytest.importorskip("torch")

from lib_hps.errors import InputError  # noqa: E402
from lib_hps.ranking import Ranking  # noqa: E402
from lib_hps.training.losses import preference_loss, tiers_of  # noqa: E402

CHOICES = [
    Ranking.pick(1, 3),
    Ranking.order([2, 0, 1, 3], 4),
    Ranking.order([(0, 1), 2], 3),
    Ranking.order([3], 4),
    Ranking.pairs([(0, 1)], 2),
]


def scores() -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    count = sum(ranking.count for ranking in CHOICES)
    return torch.randn(count, generator=generator, dtype=torch.float64, requires_grad=True)


def plain_softmax(s, ranking):
    total = sum(math.exp(v) for v in s)
    best = ranking.best()
    return -sum(math.log(math.exp(s[i]) / total) for i in best) / len(best)


def plain_pairwise(s, ranking):
    return sum(math.log(1 + math.exp(s[b] - s[a])) for a, b in ranking.edges) / len(ranking.edges)


def plain_plackett_luce(s, ranking):
    tiers = tiers_of(ranking)
    total = 0.0
    for place in range(len(tiers) - 1):
        below = sum(math.exp(s[i]) for tier in tiers[place:] for i in tier)
        total -= sum(math.log(math.exp(s[i]) / below) for i in tiers[place]) / len(tiers[place])
    return total


PLAIN = {"softmax": plain_softmax, "pairwise": plain_pairwise, "plackett-luce": plain_plackett_luce}


@pytest.mark.parametrize("kind", PLAIN)
def test_value_and_gradient_equal_the_plain_formula(kind):
    def reference(values: list[float]) -> float:
        starts = itertools.accumulate((ranking.count for ranking in CHOICES), initial=0)
        each = [PLAIN[kind](values[at : at + r.count], r) for at, r in zip(starts, CHOICES, strict=False)]
        return sum(each) / len(each)

    ours = scores()
    loss = preference_loss(ours, CHOICES, kind)
    loss.backward()
    values = ours.detach().tolist()
    assert float(loss) == pytest.approx(reference(values), abs=1e-9)
    step = 1e-6
    for i in range(len(values)):
        up, down = ([*values[:i], values[i] + sign * step, *values[i + 1 :]] for sign in (1, -1))
        slope = (reference(up) - reference(down)) / (2 * step)
        assert float(ours.grad[i]) == pytest.approx(slope, abs=1e-6)


def test_a_pick_costs_the_same_as_softmax_and_as_plackett_luce():
    values = torch.tensor([0.3, -1.0, 0.8], dtype=torch.float64)
    for index in range(3):
        ranking = Ranking.pick(index, 3)
        assert preference_loss(values, [ranking], "softmax") == pytest.approx(
            float(preference_loss(values, [ranking], "plackett-luce"))
        )


def test_softmax_is_cross_entropy():
    values = torch.randn(4, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    target = torch.tensor([0, 3, 2, 4])
    ours = preference_loss(values.flatten(), [Ranking.pick(int(t), 5) for t in target], "softmax")
    assert float(ours) == pytest.approx(float(torch.nn.functional.cross_entropy(values, target)))


def test_large_scores_do_not_overflow():
    values = torch.tensor([300.0, -300.0], requires_grad=True)
    for kind in PLAIN:
        loss = preference_loss(values, [Ranking.pick(1, 2)], kind)
        assert float(loss) == pytest.approx(600)


def test_tiers_follow_the_longest_chain():
    assert tiers_of(Ranking.order([1, (0, 3)], 5)) == [[1], [0, 3], [2, 4]]


def test_a_choice_without_a_preference_is_refused():
    with pytest.raises(InputError, match="teaches nothing"):
        preference_loss(torch.zeros(2), [Ranking.none_better(2)], "softmax")
    with pytest.raises(InputError, match="3 scores"):
        preference_loss(torch.zeros(3), [Ranking.pick(0, 2)], "softmax")
