"""The bundled models: real formats, small enough to be cloned, and good enough to be recognised."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

from lib_hps.diffusion.pipeline import load_pipeline
from lib_hps.diffusion.request import GenerationRequest
from lib_hps.scoring import load_scorer

BUNDLED = Path(__file__).parents[2] / "lib_hps" / "bundled"
MB = 1_000_000


def size_of(folder: Path, pattern: str = "*") -> int:
    return sum(f.stat().st_size for f in folder.rglob(pattern) if f.is_file())


def test_the_models_are_small_enough_to_be_cloned() -> None:
    assert size_of(BUNDLED / "tiny-sd") <= 24 * MB
    assert size_of(BUNDLED / "tiny-hps") <= 8 * MB
    assert size_of(BUNDLED / "tiny-holdout") <= 8 * MB


@pytest.mark.parametrize("name", ["tiny-sd", "tiny-hps", "tiny-holdout"])
def test_each_model_has_a_card_with_data_licence_and_limits(name: str) -> None:
    card = (BUNDLED / name / "README.md").read_text()
    for heading in ("Data and licences", "Training", "Measured", "Not for"):
        assert f"## {heading}" in card


def test_tiny_hps_has_the_checkpoint_layout_of_hps_v1_and_its_safetensors_twin() -> None:
    old = torch.load(BUNDLED / "tiny-hps" / "hpc.pt", weights_only=True, map_location="cpu")
    assert set(old) == {"state_dict"}
    with safe_open(BUNDLED / "tiny-hps" / "model.safetensors", "pt") as twin:
        assert set(twin.keys()) == set(old["state_dict"])
        for key in twin.keys():  # noqa: SIM118 - a safetensors handle is no dict
            assert torch.equal(twin.get_tensor(key), old["state_dict"][key])


def test_the_two_scorers_read_one_vocabulary_and_differ_in_architecture() -> None:
    merges = [gzip.decompress((BUNDLED / n / "merges.txt.gz").read_bytes()) for n in ("tiny-hps", "tiny-holdout")]
    assert merges[0] == merges[1]
    with safe_open(BUNDLED / "tiny-hps" / "model.safetensors", "pt") as handle:
        assert "visual.class_embedding" in handle.keys()  # noqa: SIM118
    with safe_open(BUNDLED / "tiny-holdout" / "model.safetensors", "pt") as handle:
        assert "visual.attnpool.positional_embedding" in handle.keys()  # noqa: SIM118


def test_the_prompt_decides_what_is_drawn_and_both_scorers_see_it() -> None:
    pipeline = load_pipeline(BUNDLED / "tiny-sd" / "tiny-sd.safetensors", device="cpu", dtype="float32")
    prompts = ["red heart, noto style", "panda, noto style", "pizza, noto style", "blue circle, noto style"]
    pictures = []
    for prompt in prompts:
        request = GenerationRequest(
            prompt=prompt, sampler="DDIM", steps=20, cfg=5, width=64, height=64, seed=1, count=2
        )
        pictures.append([p.image for p in pipeline.generate(request)])
    for name in ("tiny-hps", "tiny-holdout"):
        scorer = load_scorer(name, device="cpu", dtype="fp32")
        # rows: what was asked; columns: which prompt the pictures are scored with
        table = np.array([[scorer.score(drawn, prompt).mean() for prompt in prompts] for drawn in pictures])
        assert (table.argmax(axis=1) == np.arange(len(prompts))).sum() >= 3, f"{name}\n{table.round(3)}"
