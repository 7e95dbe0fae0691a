"""The contract of every scorer, held over all of them with tiny random weights in the real file formats."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lib_hps.errors import InputError
from lib_hps.scoring import Scorer, load_scorer
from lib_hps.scoring import weights as weights_module

NAMES = [
    "hps-v1",
    "hps-v2.0",
    "hps-v2.1",
    "pickscore",
    "clip:ViT-L-14/openai",
    "aesthetic",
    "tiny-hps",
    "tiny-holdout",
    "ensemble:hps-v2.1=1,pickscore=0.5,aesthetic=-0.1",
    "a trained classifier",
]
# how far a tensor's score may be from the file's: 1e-3 on the cosine, in the units of the scale
TENSOR_TOLERANCE = {"cosine": 1e-3, "logit": 1e-3 * 14.3, "points": 1e-2, "standardised": 5e-2}
PROMPT = "a red fox in the snow"


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest, library: tuple[Path, dict[str, str]], monkeypatch: pytest.MonkeyPatch) -> str:
    folder, names = library
    monkeypatch.setenv("HPS_DIR", str(folder))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(weights_module, "BUNDLED", folder / "bundled")
    return names[request.param]


@pytest.fixture(scope="session")
def loaded() -> dict[str, Scorer]:
    return {}


@pytest.fixture
def scorer(name: str, loaded: dict[str, Scorer]) -> Scorer:
    if name not in loaded:
        loaded[name] = load_scorer(name, device="cpu")
    return loaded[name]


def tensor_of(path: Path) -> torch.Tensor:
    return torch.from_numpy(np.array(Image.open(path).convert("RGB"))).permute(2, 0, 1)[None].float() / 255


def test_scores_are_finite_float32_one_per_image_and_differ(scorer: Scorer, pictures: list[Path]) -> None:
    scores = scorer.score(pictures, PROMPT)
    assert scores.dtype == np.float32
    assert scores.shape == (5,)
    assert np.isfinite(scores).all()
    assert len(set(scores.tolist())) == 5


def test_describes_itself(scorer: Scorer) -> None:
    assert scorer.name
    assert scorer.version
    assert scorer.scale in TENSOR_TOLERANCE
    assert isinstance(scorer.needs_prompt, bool)


def test_paths_strings_and_pil_pictures_score_alike(scorer: Scorer, pictures: list[Path]) -> None:
    expected = scorer.score(pictures, PROMPT)
    np.testing.assert_array_equal(scorer.score([str(path) for path in pictures], PROMPT), expected)
    np.testing.assert_array_equal(scorer.score([Image.open(path) for path in pictures], PROMPT), expected)


def test_a_tensor_scores_as_its_file_within_tolerance(scorer: Scorer, pictures: list[Path]) -> None:
    sized = [pictures[0]] * 3
    expected = scorer.score([*sized, pictures[1]], PROMPT)[:3]
    if scorer.scale == "standardised":  # has no score for a picture alone; compare with the same pictures
        expected = scorer.score(sized, PROMPT)
    scores = scorer.score(torch.cat([tensor_of(path) for path in sized]), PROMPT)
    np.testing.assert_allclose(scores, expected, atol=TENSOR_TOLERANCE[scorer.scale])


@pytest.mark.parametrize("picture", [1, 2, 4])
def test_a_tensor_that_is_not_square_scores_as_its_file(scorer: Scorer, pictures: list[Path], picture: int) -> None:
    expected = scorer.score([pictures[picture]], PROMPT)
    scores = scorer.score(tensor_of(pictures[picture]), PROMPT)
    np.testing.assert_allclose(scores, expected, atol=TENSOR_TOLERANCE[scorer.scale])


def test_the_batch_size_does_not_change_scores(name: str, pictures: list[Path]) -> None:
    one = load_scorer(name, device="cpu", batch_size=1).score(pictures, PROMPT)
    many = load_scorer(name, device="cpu", batch_size=4).score(pictures, PROMPT)
    np.testing.assert_allclose(one, many, atol=2e-5)


def test_the_order_of_images_does_not_change_scores(scorer: Scorer, pictures: list[Path]) -> None:
    scores = scorer.score(pictures, PROMPT)
    np.testing.assert_allclose(scorer.score(pictures[::-1], PROMPT)[::-1], scores, atol=2e-5)


def test_one_prompt_is_broadcast(scorer: Scorer, pictures: list[Path]) -> None:
    broadcast = scorer.score(pictures, PROMPT)
    np.testing.assert_allclose(scorer.score(pictures, [PROMPT] * 5), broadcast, atol=2e-5)


def test_the_prompt_matters_exactly_where_one_is_needed(scorer: Scorer, pictures: list[Path]) -> None:
    differs = not np.allclose(scorer.score(pictures, PROMPT), scorer.score(pictures, "blue boats"), atol=1e-6)
    assert differs == scorer.needs_prompt


def test_webui_syntax_does_not_change_scores(scorer: Scorer, pictures: list[Path]) -> None:
    dressed = "a (red:1.3) fox in [the] snow <lora:fox:0.8>"
    np.testing.assert_array_equal(scorer.score(pictures, dressed), scorer.score(pictures, PROMPT))


def test_one_picture_may_come_without_a_list(scorer: Scorer, pictures: list[Path]) -> None:
    assert scorer.score(pictures[0], PROMPT).shape == (1,)


def test_no_images_give_no_scores(scorer: Scorer) -> None:
    assert scorer.score([], PROMPT).shape == (0,)
    assert scorer.score(torch.zeros(0, 3, 8, 8), PROMPT).shape == (0,)


def test_a_wrong_number_of_prompts_is_refused(scorer: Scorer, pictures: list[Path]) -> None:
    with pytest.raises(InputError, match="2 prompts for 5 images"):
        scorer.score(pictures, ["a", "b"])


def test_an_empty_prompt_is_refused_where_one_is_needed(scorer: Scorer, pictures: list[Path]) -> None:
    if not scorer.needs_prompt:
        assert scorer.score(pictures, None).shape == (5,)
        return
    with pytest.raises(InputError, match="Prompt 1 is empty"):
        scorer.score(pictures[:2], ["a fox", "  "])
    with pytest.raises(InputError, match="no prompt was given"):
        scorer.score(pictures)
    with pytest.raises(InputError, match="Nothing is left of the prompt"):
        scorer.score(pictures, "<lora:x:1>")


def test_a_tensor_with_nan_is_refused(scorer: Scorer) -> None:
    images = torch.rand(2, 3, 30, 30)
    images[1, 0, 0, 0] = float("nan")
    with pytest.raises(InputError, match="NaN"):
        scorer.score(images, PROMPT)


@pytest.mark.parametrize(("low", "high"), [(-1.0, 1.0), (0.0, 255.0), (0.0, float("inf"))])
def test_a_tensor_outside_of_0_to_1_is_refused(scorer: Scorer, low: float, high: float) -> None:
    images = torch.full((1, 3, 30, 30), 0.5)
    images[0, 0, 0, 0], images[0, 0, 0, 1] = low, high
    with pytest.raises(InputError, match=r"0\.\.1 is expected"):
        scorer.score(images, PROMPT)


@pytest.mark.parametrize("shape", [(3, 30, 30), (1, 4, 30, 30), (1, 30, 30, 3)])
def test_a_tensor_of_another_shape_is_refused(scorer: Scorer, shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"shape \(N, 3, H, W\)"):
        scorer.score(torch.zeros(shape), PROMPT)


def test_an_8_bit_tensor_is_refused(scorer: Scorer) -> None:
    with pytest.raises(InputError, match="Divide 8-bit values by 255"):
        scorer.score(torch.zeros(1, 3, 30, 30, dtype=torch.uint8), PROMPT)


def test_something_that_is_no_picture_is_refused(scorer: Scorer) -> None:
    with pytest.raises(InputError, match="Image 0 is a int"):
        scorer.score([3], PROMPT)  # type: ignore[list-item]


def test_a_bad_file_raises_in_score_and_is_reported_among_the_others_by_iter_scores(
    scorer: Scorer, pictures: list[Path], tmp_path: Path
) -> None:
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"bad\.png is not a picture"):
        scorer.score([pictures[0], bad], PROMPT)
    outcomes = list(scorer.iter_scores([pictures[0], bad, pictures[1]], PROMPT))
    assert [scored.index for scored in outcomes] == [0, 1, 2]
    assert [scored.score is None for scored in outcomes] == [False, True, False]
    assert "bad.png" in str(outcomes[1].error)


def test_unloaded_it_scores_again_alike(scorer: Scorer, pictures: list[Path]) -> None:
    before = scorer.score(pictures, PROMPT)
    scorer.unload()
    np.testing.assert_array_equal(scorer.score(pictures, PROMPT), before)
    scorer.unload(drop=True)
    np.testing.assert_array_equal(scorer.to("cpu").score(pictures, PROMPT), before)


def test_half_precision_keeps_the_scores_close(name: str, pictures: list[Path]) -> None:
    full = load_scorer(name, device="cpu").score(pictures, PROMPT)
    half = load_scorer(name, device="cpu", dtype="bf16").score(pictures, PROMPT)
    assert np.abs(full - half).max() < 0.1 * max(1.0, float(np.ptp(full)))
