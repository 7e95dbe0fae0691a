"""What single scorers promise beyond the contract, and what importing the package costs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tiny_weights
import torch
from PIL import Image

from lib_hps.errors import WeightsError
from lib_hps.scoring import load_scorer
from lib_hps.scoring import weights as weights_module


def test_loading_a_scorer_reads_no_weights_yet(
    library: tuple[Path, dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    scorer = load_scorer("hps-v2.1", device="cpu", weights_dir=library[0])
    assert not scorer._slot.is_loaded  # type: ignore[attr-defined]
    scorer.score(Image.new("RGB", (9, 9)), "a")
    assert scorer._slot.is_loaded  # type: ignore[attr-defined]


def test_a_prompt_over_77_tokens_is_cut_and_said_once(
    library: tuple[Path, dict[str, str]], caplog: pytest.LogCaptureFixture
) -> None:
    scorer = load_scorer("hps-v2.1", device="cpu", weights_dir=library[0])
    picture = Image.new("RGB", (30, 30), "red")
    with caplog.at_level("WARNING", logger="lib_hps"):
        long = scorer.score(picture, "fox " * 200)
        longer = scorer.score(picture, "fox " * 300)
        scorer.score(picture, "fox")
    assert long == longer
    assert [record.message for record in caplog.records if "first 77 tokens" in record.message] == [
        "hps-v2.1 reads the first 77 tokens of a prompt; longer ones are cut, as in its paper. (Said once.)"
    ]


def test_a_prompt_goes_through_the_text_tower_once(
    library: tuple[Path, dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    scorer = load_scorer("hps-v2.1", device="cpu", weights_dir=library[0], batch_size=2)
    model = scorer._slot.get()  # type: ignore[attr-defined]
    rows: list[int] = []
    encode = model.encode_text
    monkeypatch.setattr(model, "encode_text", lambda tokens: rows.append(len(tokens)) or encode(tokens))
    images = torch.rand(6, 3, 30, 30)
    scorer.score(images, "a fox")
    scorer.score(images, ["a fox", "a dog"] * 3)
    assert rows == [1, 1]


@pytest.mark.parametrize("file", ["bare", "wrapped", "linear.pth", "mlp.pth"])
def test_every_published_layout_of_an_aesthetic_head_is_its_formula(
    library: tuple[Path, dict[str, str]], tmp_path: Path, file: str
) -> None:
    torch.manual_seed(0)
    path = tmp_path / f"{file.removesuffix('.pth')}.pth"
    width, gain = tiny_weights.EMBED_DIM, 1.0
    if file == "mlp.pth":
        tiny_weights.write_mlp_head(path, 3)
        state = torch.load(path, weights_only=True)
        layers = [(state[f"layers.{n}.weight"], state[f"layers.{n}.bias"]) for n in (0, 2, 4, 6, 7)]
    else:
        layers = [(torch.randn(1, width), torch.randn(1))]
        prefix = "linear." if file == "linear.pth" else ""
        gain = width**0.5 if prefix else 1.0
        state = {f"{prefix}weight": layers[0][0], f"{prefix}bias": layers[0][1]}
        torch.save({"state_dict": state} if file == "wrapped" else state, path)
    scorer = load_scorer("aesthetic", weights=path, weights_dir=library[0], device="cpu")
    images = torch.rand(3, 3, tiny_weights.SIZE_PX, tiny_weights.SIZE_PX)
    tower = load_scorer("clip:ViT-L-14/openai", weights_dir=library[0], device="cpu")
    expected = tower.image_features((images * 255).round() / 255) * gain  # type: ignore[attr-defined]
    for weight, bias in layers:
        expected = expected @ weight.T + bias
    np.testing.assert_allclose(scorer.score(images), expected[:, 0].numpy(), atol=1e-5)


def test_a_head_for_other_features_is_refused(library: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    head = tiny_weights.write_mlp_head(tmp_path / "wide.pth", 1, features=64)
    with pytest.raises(WeightsError, match=r"wide\.pth is a head for 64 features; clip:ViT-L-14/openai gives 32"):
        load_scorer("aesthetic", weights=head, weights_dir=library[0], device="cpu").score(torch.rand(1, 3, 9, 9))


def test_a_file_that_is_no_head_is_refused(library: tuple[Path, dict[str, str]]) -> None:
    with pytest.raises(WeightsError, match="is no aesthetic head known here"):
        load_scorer("aesthetic", weights=library[0] / "hpc.pt", weights_dir=library[0])


def test_an_ensemble_is_the_weighted_sum_of_members_standardised_within_each_prompt(
    library: tuple[Path, dict[str, str]], pictures: list[Path]
) -> None:
    prompts = ["a fox", "a fox", "a fox", "a boat", "a boat"]
    options = {"weights_dir": library[0], "device": "cpu"}
    expected = np.zeros(5)
    for name, weight in (("hps-v2.1", 2.0), ("pickscore", -0.5)):
        scores = load_scorer(name, **options).score(pictures, prompts).astype(np.float64)
        for rows in (slice(0, 3), slice(3, 5)):
            expected[rows] += weight * (scores[rows] - scores[rows].mean()) / scores[rows].std()
    ensemble = load_scorer("ensemble:hps-v2.1=2,pickscore=-0.5", **options)
    np.testing.assert_allclose(ensemble.score(pictures, prompts), expected, atol=1e-4)
    assert ensemble.score(pictures[:1], "a fox") == 0


@pytest.mark.parametrize("name", ["tiny-hps", "tiny-holdout"])
def test_the_bundled_scorers_score(name: str) -> None:
    if not (weights_module.BUNDLED / name / "model.safetensors").is_file():
        pytest.skip(f"lib_hps/bundled/{name} is not in this checkout")
    scorer = load_scorer(name, device="cpu")
    assert scorer.name == name
    assert np.isfinite(scorer.score(torch.rand(2, 3, 64, 64), "a red heart")).all()


def test_importing_the_package_imports_neither_torch_nor_anything_heavy() -> None:
    code = (
        "import sys, lib_hps, lib_hps.scoring; from lib_hps.scoring import list_scorers, clean_prompt; list_scorers();"
        "print([m for m in ('torch', 'transformers', 'open_clip', 'diffusers', 'gradio') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_importing_the_package_alone_imports_no_third_party_package_at_all() -> None:
    code = (
        "import sys; before = set(sys.modules); import lib_hps, lib_hps.scoring;"
        "new = {m.split('.')[0] for m in set(sys.modules) - before} - set(sys.stdlib_module_names); print(sorted(new))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['lib_hps']"
