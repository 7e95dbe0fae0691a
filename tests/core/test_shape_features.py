"""Descriptors of a figure's shape: what they must not see, and what they must."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from lib_hps.scoring.clip.shape_features import describe_shape  # noqa: E402

SIDE = 96


def drawn(is_inside, ground=(1.0, 1.0, 1.0), ink=(0.2, 0.3, 0.8)):
    y, x = torch.meshgrid(torch.arange(SIDE) - 48.0, torch.arange(SIDE) - 48.0, indexing="ij")
    colours = torch.tensor([ground, ink]).T[:, :, None, None]
    return torch.where(is_inside(x, y), colours[:, 1], colours[:, 0])[None]


def disc(radius, right=0.0, down=0.0):
    return lambda x, y: (x - right) ** 2 + (y - down) ** 2 <= radius**2


def bar(x, y):
    return (x.abs() <= 30) & (y.abs() <= 6)


def test_a_disc_is_described_alike_wherever_it_lies_how_large_and_on_what_ground():
    one = describe_shape(drawn(disc(20)))
    others = [drawn(disc(30)), drawn(disc(20, 15, -8)), drawn(disc(20), ground=(0.1, 0.1, 0.1), ink=(0.9, 0.5, 0.1))]
    shape_alone = [i for i in range(24) if i != 16]  # all but the share of the frame
    for other in others:
        assert (describe_shape(other) - one)[0, shape_alone].abs().max() < 0.05


def test_a_bar_is_far_from_a_disc_however_it_is_turned():
    round_one, lying = describe_shape(drawn(disc(20))), describe_shape(drawn(bar))
    standing = describe_shape(drawn(lambda x, y: bar(y, x)))
    torch.testing.assert_close(lying, standing, atol=0.01, rtol=0)
    assert (lying - round_one).abs().max() > 0.3


def test_a_blank_picture_has_a_description():
    assert describe_shape(torch.ones(2, 3, 32, 32)).isfinite().all()
