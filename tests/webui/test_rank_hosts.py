"""The same picture in both hosts: the standalone pipeline draws what the WebUI drew, from that infotext alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from webui_runs import NEEDS_SCORER, Run
from webui_server import BUNDLED, WebUI

from lib_hps.diffusion.pipeline import Pipeline, load_pipeline
from lib_hps.errors import InputError
from lib_hps.hosts.standalone.rendering import render
from lib_hps.noise import NoiseRecipe

pytestmark = NEEDS_SCORER
RECIPE = NoiseRecipe.mix({5: 0.8, 77: -0.5, 4294967295: 0.3}).format()
TOLERANCE = 2  # of 255 levels; the table in docs/ranking-webui.md has what was measured
HIRES = {"enable_hr": True, "hr_resize_x": 96, "hr_resize_y": 96, "hr_upscaler": "Lanczos", "denoising_strength": 0.3}
CASES: dict[str, dict[str, Any]] = {
    "DDIM": {"sampler_name": "DDIM"},
    "Euler": {"sampler_name": "Euler"},
    "Euler a": {"sampler_name": "Euler a"},
    "DPM++ 2M Karras": {"sampler_name": "DPM++ 2M", "scheduler": "Karras"},
    "DPM++ 2M": {"sampler_name": "DPM++ 2M", "scheduler": "Uniform"},
    "Heun": {"sampler_name": "Heun"},
    "UniPC": {"sampler_name": "UniPC"},
    "wide": {"sampler_name": "DDIM", "width": 96},
    "hires DDIM": {"sampler_name": "DDIM", **HIRES},
    "hires DDIM, all anew": {"sampler_name": "DDIM", **HIRES, "denoising_strength": 1.0},
    "hires Heun": {"sampler_name": "Heun", **HIRES},
    "hires UniPC": {"sampler_name": "UniPC", **HIRES},
    "hires UniPC, half anew": {"sampler_name": "UniPC", **HIRES, "denoising_strength": 0.55},
    "hires UniPC, all anew": {"sampler_name": "UniPC", **HIRES, "denoising_strength": 1.0},
    "hires Euler": {"sampler_name": "Euler", **HIRES},
    "hires Euler a": {"sampler_name": "Euler a", **HIRES},
    "hires DPM++ 2M Karras": {"sampler_name": "DPM++ 2M", "scheduler": "Karras", **HIRES},
}


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    return load_pipeline(BUNDLED / "tiny-sd" / "tiny-sd.safetensors", device="cpu", dtype="float32")


def drawn(webui: WebUI, source: str = "CPU", **given: Any) -> Run:
    size = {"n_iter": 1, "batch_size": 1, "steps": 12, "seed": 3, "override_settings": {"randn_source": source}}
    return Run(webui, options={"mode": "Recipe", "recipe": RECIPE}, **{**size, **given})


@pytest.mark.parametrize("case", CASES)
def test_a_recipe_gives_the_same_picture_in_both_hosts(webui: WebUI, pipeline: Pipeline, case: str) -> None:
    theirs = drawn(webui, **CASES[case])
    picture, _ = render(pipeline, theirs.generations[0])
    mine, other = (np.asarray(image.convert("RGB"), int) for image in (picture.image, theirs.shown[0]))
    assert mine.shape == other.shape
    difference = np.abs(mine - other)
    print(f"{case}: at most {difference.max()} of 255, {(difference > 0).mean():.2%} of the values differ")
    assert difference.max() <= TOLERANCE
    assert other.std() > 5  # it is a picture, not a flat field


def test_noise_of_a_source_that_the_standalone_host_lacks_is_refused_and_not_drawn_wrong(
    webui: WebUI, pipeline: Pipeline
) -> None:
    with pytest.raises(InputError, match="draws CPU noise alone"):
        render(pipeline, drawn(webui, "NV").generations[0])
