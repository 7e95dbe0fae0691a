"""The trivial recipe (one seed, coefficient 1) gives the plain WebUI's picture: over samplers, shapes, RNG sources."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw
from webui_runs import NEEDS_SCORER, Run, encode, pixels
from webui_server import WebUI

pytestmark = NEEDS_SCORER
HIRES = {"enable_hr": True, "hr_scale": 2, "denoising_strength": 0.4, "hr_upscaler": "Lanczos"}
RESIZED = {"seed_resize_from_h": 48, "seed_resize_from_w": 96}


def source() -> dict[str, Any]:
    return {"route": "img2img", "init_images": [encode(Image.new("RGB", (64, 64), "orange"))]}


def mask() -> str:
    image = Image.new("L", (64, 64), 0)
    ImageDraw.Draw(image).rectangle((16, 16, 48, 48), fill=255)
    return encode(image)


CASES: dict[str, dict[str, Any]] = {
    **{name: {"sampler_name": name} for name in ("DDIM", "DPM++ 2M", "Euler a", "UniPC", "Heun", "DPM++ SDE")},
    "Karras": {"sampler_name": "DPM++ 2M", "scheduler": "Karras"},
    "hires fix": {"sampler_name": "Euler a", **HIRES},
    "variation": {"sampler_name": "Euler a", "subseed": 7, "subseed_strength": 0.4},
    "seed resize": {"sampler_name": "DDIM", "width": 96, **RESIZED, "subseed": 7, "subseed_strength": 0.4},
    "smaller": {"sampler_name": "DDIM", "width": 96, "height": 48, **RESIZED},
    "RNG CPU": {"sampler_name": "Euler a", "override_settings": {"randn_source": "CPU"}},
    "RNG NV": {"sampler_name": "Euler a", "override_settings": {"randn_source": "NV"}},
    "ENSD": {"sampler_name": "Euler a", "override_settings": {"eta_noise_seed_delta": 31337}},
    "another hook": {"sampler_name": "Euler a", "prompt": "red heart, hooked"},
    "without the hook": {"sampler_name": "Euler a", "prompt": "red heart, without hook"},
    "batch count": {"sampler_name": "Euler a", "n_iter": 2},
}


def both(webui: WebUI, given: dict[str, Any], pictures: int) -> tuple[Run, Run]:
    size = {"n_iter": 1, "batch_size": 1, "override_settings": {}} | given
    size = {"prompt": "red heart", **size}
    plain = Run(webui, **size)
    recipes = "\n".join(f"{seed}*1" for seed in range(10, 10 + pictures))
    ours = Run(webui, options={"mode": "Recipe", "recipe": recipes}, **size)
    return plain, ours


@pytest.mark.parametrize("case", CASES)
def test_one_seed_gives_the_plain_picture_byte_for_byte(webui: WebUI, case: str) -> None:
    plain, ours = both(webui, CASES[case], CASES[case].get("n_iter", 1))
    assert [pixels(image) for image in ours.shown] == [pixels(image) for image in plain.shown]


@pytest.mark.parametrize("case", ["img2img", "inpaint", "inpaint noise", "multiplier"])
def test_img2img_and_inpainting(webui: WebUI, case: str) -> None:
    given = {**source(), "denoising_strength": 0.7, "sampler_name": "Euler a"}
    if "inpaint" in case:
        given |= {"mask": mask(), "inpainting_fill": 2 if "noise" in case else 1}
    if case == "multiplier":
        given["initial_noise_multiplier"] = 1.05
    both(webui, given, 1)  # encoding samples the posterior from whatever the last generation left of the global noise
    plain, ours = both(webui, given, 1)
    assert pixels(ours.shown[0]) == pixels(plain.shown[0])


@pytest.mark.parametrize("sampler", ["DDIM", "DPM++ 2M", "Euler a"])
def test_a_batch_of_four_differs_by_one_step_at_most(webui: WebUI, sampler: str) -> None:
    plain, ours = both(webui, {"sampler_name": sampler, "batch_size": 4}, 4)
    for one, other in zip(plain.shown, ours.shown, strict=True):
        assert np.abs(np.asarray(one, int) - np.asarray(other, int)).max() <= 1
    assert len({pixels(image) for image in ours.shown}) == 4
