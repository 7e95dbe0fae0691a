from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib_hps.errors import InputError
from lib_hps.noise import LARGEST_SEED, NoiseRecipe, combine
from lib_hps.ranking import Ranking, make_optimizer

SEEDS = st.integers(0, LARGEST_SEED)
COEFFICIENTS = st.floats(-1, 1).filter(lambda c: abs(c) > 1e-3)
RECIPES = st.dictionaries(SEEDS, COEFFICIENTS, min_size=1, max_size=30).map(NoiseRecipe.mix)


def numpy_noise(shape: tuple[int, ...]):
    return lambda seed: np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@given(RECIPES)
def test_what_is_written_is_what_is_read(recipe: NoiseRecipe) -> None:
    assert NoiseRecipe.parse(recipe.format()) == recipe


@given(RECIPES)
def test_the_text_survives_an_infotext_unquoted(recipe: NoiseRecipe) -> None:
    from lib_hps.infotext import format_infotext, parse_infotext

    text = format_infotext("a cat", settings={"Steps": 20, "Seed": 1, "HPS noise": recipe.format()})
    assert '"' not in text
    assert NoiseRecipe.parse(parse_infotext(text).settings["HPS noise"]) == recipe


@given(RECIPES)
def test_a_recipe_has_unit_norm(recipe: NoiseRecipe) -> None:
    norm = math.sqrt(sum(c * c for _, c in recipe.terms))
    assert norm == pytest.approx(1, abs=1e-4 * math.sqrt(len(recipe.terms)))


@given(RECIPES, RECIPES, st.floats(-3, 3))
def test_a_walk_on_a_great_circle_turns_by_its_angle(start: NoiseRecipe, end: NoiseRecipe, angle: float) -> None:
    if not 0.05 < start.angle_rad(end) < math.pi - 0.05:
        return
    assert start.angle_rad(start.towards(end, angle)) == pytest.approx(abs(angle), abs=0.03)


def test_the_format_is_short_and_plain() -> None:
    recipe = NoiseRecipe.mix({1234567890: 0.8, 1234567891: -0.6})
    assert recipe.format() == "1234567890*.8 +1*-.6"
    assert NoiseRecipe.single(7).format() == "7*1"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "empty"),
        ("7", "'7'"),
        ("+1*1", "'+1*1'"),
        ("7*.5", "0.5000"),
        ("7*1 +0*.0001", "not rising"),
        ("7*.8 8*.61234", "8*.61234"),
        ("99999999999*1", "99999999999"),
        ("4294967296*1", "4294967296"),
        ("7*nan", "7*nan"),
        ("7*1 8*0.0000", "0"),
    ],
)
def test_a_bad_text_is_refused_by_name(text: str, named: str) -> None:
    with pytest.raises(InputError, match=named.replace("*", r"\*").replace("+", r"\+").replace(".", r"\.")):
        NoiseRecipe.parse(text)


def test_nothing_and_nan_cannot_be_mixed() -> None:
    for bad in ({1: 0.0}, {1: math.nan}, {1: math.inf}):
        with pytest.raises(InputError):
            NoiseRecipe.mix(bad)
    one = NoiseRecipe.single(1)
    with pytest.raises(InputError):
        combine([(one, 1.0), (one, -1.0)])
    with pytest.raises(InputError, match="one line"):
        one.towards(one, 0.5)


def test_one_seed_is_the_hosts_own_noise_bit_for_bit() -> None:
    draw = numpy_noise((4, 8, 8))
    assert np.array_equal(NoiseRecipe.single(5).realise(draw), draw(5))


def test_any_array_library_and_shape_will_do() -> None:
    import torch

    recipe = NoiseRecipe.mix({1: 0.6, 2: 0.8})
    for shape in ((4, 64, 64), (16, 128, 96), (1, 4, 8, 8)):
        ours = recipe.realise(numpy_noise(shape))
        theirs = recipe.realise(lambda seed, shape=shape: torch.from_numpy(numpy_noise(shape)(seed)))
        assert ours.dtype == np.float32
        assert np.array_equal(ours, theirs.numpy())


def test_pruning_keeps_to_its_bound() -> None:
    generator = np.random.default_rng(3)
    recipe = NoiseRecipe.mix({int(s): float(c) for s, c in enumerate(generator.standard_normal(300) ** 3)})
    draw = numpy_noise((4, 64, 64))
    whole = recipe.realise(draw)
    for most in (2000, 1000, 400):
        short, bound = recipe.pruned(most)
        assert len(short.format()) <= most
        off = np.linalg.norm(short.realise(draw) - whole) / np.linalg.norm(whole)
        assert off <= bound * 1.05  # seeds are orthogonal only nearly
    assert recipe.pruned(10_000) == (recipe, 0.0)


@pytest.fixture(scope="module")
def after_20_rounds() -> NoiseRecipe:
    """A session of 20 rounds of 8, ranked by closeness to a hidden noise."""
    wanted = np.random.default_rng(99).standard_normal((4, 64, 64))
    optimizer = make_optimizer("default", seed=4_000_000_000, batch=8)
    for _ in range(20):
        noises = [candidate.recipe.realise(numpy_noise((4, 64, 64))) for candidate in optimizer.ask()]
        optimizer.tell(Ranking.from_scores([float((noise * wanted).sum()) for noise in noises]))
    return optimizer.best.recipe


def test_20_rounds_of_8_fit_into_2000_characters(after_20_rounds: NoiseRecipe) -> None:
    assert len(after_20_rounds.terms) > 50
    assert len(after_20_rounds.format()) <= 2000


def test_the_noise_after_20_rounds_is_statistically_the_hosts_own(after_20_rounds: NoiseRecipe) -> None:
    import torch

    def draw(seed: int) -> torch.Tensor:
        return torch.randn((4, 64, 64), generator=torch.Generator("cpu").manual_seed(seed))

    noise = after_20_rounds.realise(draw).numpy().astype(np.float64)
    count = noise.size
    deviations = {
        "norm": (np.linalg.norm(noise) - math.sqrt(count)) * math.sqrt(2),
        "mean": noise.mean() * math.sqrt(count),
        "variance": (noise.var() - 1) / math.sqrt(2 / count),
        "right neighbour": (noise[..., 1:] * noise[..., :-1]).mean() * math.sqrt(count),
        "lower neighbour": (noise[:, 1:] * noise[:, :-1]).mean() * math.sqrt(count),
        "next channel": (noise[1:] * noise[:-1]).mean() * math.sqrt(count),
    }
    power = np.abs(np.fft.fft2(noise, norm="ortho")) ** 2  # 1 everywhere for white noise
    frequency = np.hypot(np.fft.fftfreq(64)[:, None], np.fft.fftfreq(64)[None])
    for low, high in ((0, 0.1), (0.1, 0.25), (0.25, 0.5), (0.5, 0.8)):
        band = power[:, (frequency >= low) & (frequency < high)]
        # conjugate pairs are equal: half the values are independent
        deviations[f"power at {low} to {high}"] = (band.mean() - 1) * math.sqrt(band.size / 2)
    assert {name: round(z, 1) for name, z in deviations.items() if abs(z) > 3.5} == {}
