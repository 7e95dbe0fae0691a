"""Of benchmarks.rater_reading: what several readers see together."""

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.rater_pictures import STYLES, Said
from benchmarks.rater_reading import OPTIONS, OTHER_SEEDS, SEEDS, Readers, StyleReader, backgrounds_of
from tools.tiny_models.augment import BACKGROUNDS
from tools.tiny_models.judge import Judge

NAMES = [f"thing {number}" for number in range(30)]


@pytest.fixture(scope="module")
def readers() -> Readers:
    torch.manual_seed(0)
    judges = [Judge(len(NAMES), width=8).eval() for _ in range(2)]
    return Readers(NAMES, judges, [StyleReader().eval() for _ in range(3)])


@pytest.fixture
def pictures(tmp_path):
    levels = np.random.default_rng(0).integers(256, size=(4, 64, 64, 3), dtype=np.uint8)
    files = [tmp_path / f"{number}.png" for number in range(len(levels))]
    for file, each in zip(files, levels, strict=True):
        Image.fromarray(each).save(file)
    return files


def test_several_see_the_mean_of_what_each_sees(readers, pictures):
    wanted = Said("thing 3", "noto", "white")
    alone = [
        Readers(NAMES, [judge], [reader]).seen(pictures, wanted, 5)
        for judge, reader in zip(readers.judges, readers.panel, strict=False)
    ]
    for place, together in enumerate(Readers(NAMES, readers.judges, readers.panel[:2]).seen(pictures, wanted, 5)):
        each = [seen[place] for seen in alone]
        assert together.concept == pytest.approx(np.mean([seen.concept for seen in each]), rel=1e-4)
        assert together.styles == pytest.approx(
            {style: np.mean([seen.styles[style] for seen in each]) for style in STYLES}, rel=1e-4
        )


def test_a_thing_is_named_among_twenty_with_the_prompt_s_own(readers, pictures):
    """However many names there are, their probabilities among the options are 1 together."""
    images = torch.zeros(1, 3, 64, 64)
    among = readers.things(images, list(range(OPTIONS)))
    assert among.shape == (1, OPTIONS)
    assert among.sum() == pytest.approx(1, rel=1e-5)
    assert readers.things(images).shape == (1, len(NAMES))


def test_a_background_is_the_colour_of_the_border_whatever_stands_before_it():
    generator = torch.Generator().manual_seed(0)
    grounds = torch.tensor(list(BACKGROUNDS.values())).repeat(8, 1)[:, :, None, None].expand(-1, -1, 16, 16)
    levels = (grounds + torch.randint(-8, 9, grounds.shape, generator=generator)).clamp(0, 255)
    levels[..., 2:14, 2:14] = torch.randint(256, (len(levels), 3, 12, 12), generator=generator)
    assert backgrounds_of(levels / 127.5 - 1).tolist() == [*range(len(BACKGROUNDS))] * 8


def test_other_readers_share_none_with_the_raters_own():
    for own, others in zip(SEEDS, OTHER_SEEDS, strict=True):
        assert not {*own} & {*others}
        assert len(own) == len(others)
