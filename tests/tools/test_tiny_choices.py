"""The simulated rater of the bundled scorers, and what is learned from it."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from tools.tiny_models import augment, choices, rater
from tools.tiny_models.agreement import within_prompts
from tools.tiny_models.augment import premultiply
from tools.tiny_models.drawn import PROMPTS, PROVED, split_emoji
from tools.tiny_models.emoji import Emoji
from tools.tiny_models.judge import CONCEPTS, Judge


def _emoji(count: int) -> list[Emoji]:
    names = [*CONCEPTS[:10], *(f"thing {i}" for i in range(count - 10))]
    return [
        Emoji(code=str(i), name=n, keywords=(), category="", subcategory="", weight=1.0) for i, n in enumerate(names)
    ]


def _pictures(count: int) -> torch.Tensor:
    """Coloured discs with a hard edge, (N, 3, 64, 64)."""
    generator = torch.Generator().manual_seed(1)
    axis = torch.linspace(-1, 1, 64)
    inside = (axis[:, None].square() + axis.square() < 0.4).float()  # (64, 64)
    paint = torch.rand(count, 3, 1, 1, generator=generator) * 2 - 1
    return 1 - inside * (1 - paint)


def test_a_blurred_picture_is_less_sharp_and_a_grey_one_has_less_colour() -> None:
    images = _pictures(8)
    soft = F.interpolate(F.avg_pool2d(images, 4), scale_factor=4, mode="bilinear")
    assert (rater.sharpness(soft) < rater.sharpness(images)).all()
    half_grey = torch.lerp(images, images.mean(dim=1, keepdim=True), 0.5)
    assert (rater.colour(half_grey) < rater.colour(images)).all()
    assert torch.allclose(rater.colour(images.mean(dim=1, keepdim=True).expand_as(images)), torch.zeros(8), atol=1e-4)


def test_utility_adds_three_parts_that_are_standardised_within_each_prompt() -> None:
    generator = torch.Generator().manual_seed(2)
    pictures = torch.randint(0, 256, (2, 5, 64, 64, 3), generator=generator, dtype=torch.uint8).numpy()
    torch.manual_seed(3)
    judge, images = Judge(7, width=8).eval(), rater.to_images(pictures)
    drawn = choices.Drawn(["a", "b"], pictures, rater.fit(judge, images, [1, 4]), rater.Standards.of(images))
    expected = torch.zeros(2, 5)
    for prompt, row in enumerate([1, 4]):
        shown = images[prompt]
        read = rater.concept(judge, shown, torch.full((5,), row))
        for weight, part in ((0.5, read), (1, rater.sharpness(shown)), (1, rater.colour(shown))):
            expected[prompt] += weight * (part - part.mean()) / part.std()
    assert torch.allclose(drawn.utility, expected, atol=1e-3)


def test_a_moved_picture_keeps_its_colour_by_a_tenth_and_looks_follow_what_is_shown() -> None:
    images = _pictures(8)
    moved = augment.move(images, torch.Generator().manual_seed(6))
    assert not torch.equal(moved, images)
    before, after = rater.colour(images), rater.colour(moved)
    assert ((after / before - 1).abs() < 0.3).all()
    standards = rater.Standards.of(images.unflatten(0, (2, 4)))
    grey = torch.lerp(images, images.mean(dim=1, keepdim=True), 0.3).unflatten(0, (2, 4))
    assert (rater.looks(grey, standards) < rater.looks(images.unflatten(0, (2, 4)), standards)).all()


def test_the_rater_orders_by_utility_and_errs_now_and_then() -> None:
    utilities = torch.tensor([0.0, 0.5, 2.0]).expand(4000, 3)
    orders = rater.order(utilities, torch.Generator().manual_seed(4))
    assert (orders.sort(dim=1).values == torch.arange(3)).all()
    share = (orders[:, 0] == 2).float().mean()  # softmax(u / 0.35)[2] = 0.98
    assert abs(share - torch.softmax(utilities[0] / rater.TEMPERATURE, dim=0)[2]) < 0.01


def test_loss_of_an_order_is_the_likelihood_of_its_picks_one_after_the_other() -> None:
    logits = torch.tensor([[0.3, -1.0, 2.0, 0.1], [1.0, 0.0, -0.5, 0.7]])
    order = torch.tensor([[2, 0, 3, 1], [1, 3, 0, 2]])
    expected = 0.0
    for row, places in zip(logits, order.tolist(), strict=True):
        for i in range(3):
            left = places[i:]
            expected -= float(row[left].log_softmax(dim=0)[0]) / len(logits)
    assert abs(float(choices.order_loss(logits, order)) - expected) < 1e-5


def test_the_two_scorers_share_no_emoji_in_their_choices_and_what_people_try_first_is_kept_from_both() -> None:
    emoji = _emoji(2 * (PROMPTS + PROVED) + 10)
    rows = split_emoji(emoji)
    assert sorted(row for side in rows.values() for row in side) == list(range(len(emoji)))
    assert len(rows["tiny-hps"]) == len(rows["tiny-holdout"]) == PROMPTS
    assert len(rows["tiny-hps-proof"]) == len(rows["tiny-holdout-proof"]) == PROVED
    assert {emoji[row].name for row in rows["unseen"]} == set(CONCEPTS[:10])


def test_choices_between_drawn_pictures_come_from_one_prompt_and_fit_counts_only_where_it_was_asked() -> None:
    emoji, generator = _emoji(12), torch.Generator().manual_seed(5)
    rgba = torch.randint(0, 256, (12, 3, 64, 64, 4), generator=generator, dtype=torch.uint8).numpy()
    shade = np.arange(32, dtype=np.uint8).reshape(2, 16, 1, 1, 1)  # tells prompt and picture; all look alike otherwise
    pictures = np.broadcast_to(shade, (2, 16, 64, 64, 3)).copy()
    fit = 8 * torch.arange(32.0).view(2, 16)  # apart by 4 utilities: the rater hardly errs
    level = (torch.zeros(2, 1), torch.full((2, 1), 1e6))
    drawn = choices.Drawn(["a", "b"], pictures, fit, rater.Standards(level, level))
    source = choices.ChoiceSource(emoji, premultiply(rgba.reshape(-1, 64, 64, 4)), list(range(12)), drawn)
    asked, other = [], []
    for _ in range(8):
        images, prompts, order = source.draw(generator)
        assert images.shape == (choices.REAL + choices.DRAWN, 8, 3, 64, 64)
        assert len(prompts) == len(order) == len(images)
        numbers = ((images[choices.REAL :, :, 0, 0, 0] + 1) * 127.5).round().long()  # (DRAWN, 8)
        for group, prompt, best in zip(numbers, prompts[choices.REAL :], order[choices.REAL :, 0], strict=True):
            assert len(set(group.tolist())) == 8
            assert len({number // 16 for number in group.tolist()}) == 1
            is_asked = prompt in "ab"
            assert not is_asked or prompt == "ab"[int(group[0]) // 16]
            (asked if is_asked else other).append(int(group[best] == group.max()))
    assert np.mean(asked) > 0.9
    assert np.mean(other) < 0.6


def test_correlation_is_taken_within_the_prompt() -> None:
    rng = np.random.default_rng(0)
    base = rng.standard_normal((30, 48))
    level = 100 * rng.standard_normal((30, 1))  # of the prompt: must not count
    mean, half = within_prompts(base + level, base + 1.0 * rng.standard_normal((30, 48)) - level)
    assert abs(mean - 0.5**0.5) < 0.05
    assert 0 < half < 0.05
