"""SDXL's latents and conditioning in a real WebUI, by a small random checkpoint of that architecture."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from webui_runs import NEEDS_SCORER, SMALL, Run, pixels, rank, session_of, state_of, tell
from webui_server import WebUI

from lib_hps.diffusion.pipeline import Pipeline, load_pipeline
from lib_hps.hosts.standalone.rendering import render
from lib_hps.noise import NoiseRecipe

for package in ("torch", "diffusers", "transformers"):
    pytest.importorskip(package)
pytestmark = NEEDS_SCORER
RECIPE = NoiseRecipe.mix({5: 0.8, 77: -0.5, 4294967295: 0.3}).format()
HIRES = {"enable_hr": True, "hr_scale": 2, "denoising_strength": 0.4, "hr_upscaler": "Lanczos"}
CASES: dict[str, dict[str, Any]] = {
    **{name: {"sampler_name": name} for name in ("DDIM", "DPM++ 2M", "Euler a", "UniPC")},
    "wide": {"sampler_name": "DDIM", "width": 96},
    "hires fix": {"sampler_name": "Euler a", **HIRES},
    "variation": {"sampler_name": "Euler a", "subseed": 7, "subseed_strength": 0.4},
    "batch count": {"sampler_name": "Euler a", "n_iter": 2},
}


@pytest.fixture(scope="module")
def checkpoint(webui: WebUI) -> Iterator[Path]:
    """In the WebUI's folder; the tester extension has told open_clip of the small text tower."""
    from tools.tiny_models.random_bases import write_sdxl

    path: Path = write_sdxl(webui.data / "models" / "Stable-diffusion").path
    yaml = path.with_suffix(".yaml")
    yaml.write_text(re.sub(r"^    image_size: .*\n", "", yaml.read_text(), flags=re.MULTILINE))  # A1111 refuses it
    webui.post("/sdapi/v1/refresh-checkpoints", {})
    yield path
    webui.post("/sdapi/v1/options", {"sd_model_checkpoint": "tiny-sd"})


def given(checkpoint: Path, **more: Any) -> dict[str, Any]:
    # the usual preview needs a small model that A1111 downloads
    settings = {"sd_model_checkpoint": checkpoint.stem, "randn_source": "CPU", "show_progress_type": "Approx cheap"}
    return {**SMALL, "prompt": "a cat", "override_settings": settings, **more}


@pytest.mark.parametrize("case", CASES)
def test_one_seed_gives_the_plain_picture_byte_for_byte(webui: WebUI, checkpoint: Path, case: str) -> None:
    request = given(checkpoint, **CASES[case])
    recipes = "\n".join(f"{seed}*1" for seed in range(10, 10 + request["n_iter"]))
    plain = Run(webui, **request)
    ours = Run(webui, options={"mode": "Recipe", "recipe": recipes}, **request)
    assert [pixels(image) for image in ours.shown] == [pixels(image) for image in plain.shown]
    assert {one.settings["Model"] for one in ours.generations} == {checkpoint.stem}
    assert np.asarray(ours.shown[0]).std() > 5  # it is a picture, not a flat field


def test_a_batch_of_four_differs_by_one_step_at_most(webui: WebUI, checkpoint: Path) -> None:
    request = given(checkpoint, batch_size=4)
    plain = Run(webui, **request)
    ours = Run(webui, options={"mode": "Recipe", "recipe": "10*1\n11*1\n12*1\n13*1"}, **request)
    for one, other in zip(plain.shown, ours.shown, strict=True):
        assert np.abs(np.asarray(one, int) - np.asarray(other, int)).max() <= 1


def test_a_session_is_ranked_and_finished(webui: WebUI, checkpoint: Path) -> None:
    id = session_of(rank(webui, **given(checkpoint)))
    tell(webui, id, 2, 1)
    second = rank(webui, id, **given(checkpoint))
    assert len({pixels(image) for image in second.shown}) == 3
    winner = tell(webui, id, 1)["best"]["recipe"]
    final = rank(webui, id, {"do": "finish", "width": 128, "height": 128}, **given(checkpoint))
    assert final.settings("HPS noise") == [winner]
    assert final.shown[0].size == (128, 128)
    assert state_of(webui, id)["settings"]["model"] == checkpoint.stem


@pytest.mark.parametrize("sampler", ["DDIM", "Euler a", "DPM++ 2M"])
def test_the_standalone_host_draws_the_same_picture(webui: WebUI, checkpoint: Path, sampler: str) -> None:
    pipeline: Pipeline = load_pipeline(checkpoint, device="cpu", dtype="float32")
    request = given(checkpoint, sampler_name=sampler, scheduler="Uniform" if "2M" in sampler else "Automatic", steps=12)
    theirs = Run(webui, options={"mode": "Recipe", "recipe": RECIPE}, **request)
    picture, _ = render(pipeline, theirs.generations[0])
    mine, other = (np.asarray(image.convert("RGB"), int) for image in (picture.image, theirs.shown[0]))
    print(f"{sampler}: at most {np.abs(mine - other).max()} of 255")
    assert np.abs(mine - other).max() <= 2
