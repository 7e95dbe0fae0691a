"""The final picture is the one that is judged: behind face restoration, hires fix and color correction."""

from __future__ import annotations

from typing import Any

import pytest
from PIL import Image
from webui_runs import NEEDS_SCORER, Run, check_scores, encode, pixels
from webui_server import WebUI

pytestmark = NEEDS_SCORER
RESTORED = {"restore_faces": True, "override_settings": {"face_restoration_model": "Posterizer"}}
HIRES = {"enable_hr": True, "hr_scale": 2, "denoising_strength": 0.5, "hr_upscaler": "Latent"}


def asked(way: str) -> dict[str, Any]:
    if way == "rerank":
        return {"options": {}}
    return {"alwayson_scripts": {"HPS score": {"args": [True, "tiny-hps"]}}}


def is_posterized(image: Image.Image) -> bool:
    return {value for _, colour in image.convert("RGB").getcolors(1 << 20) for value in colour} <= {0, 64, 128, 192}


@pytest.mark.parametrize("way", ["rerank", "every image"])
@pytest.mark.parametrize("more", [{}, HIRES], ids=["plain", "hires"])
def test_a_picture_with_restored_faces_is_judged_as_it_came_out(webui: WebUI, way: str, more: dict) -> None:
    run = Run(webui, n_iter=2, batch_size=1, save_images=True, **RESTORED, **more, **asked(way))
    assert set(run.settings("Face restoration")) == {"Posterizer"}
    assert all(map(is_posterized, run.shown))
    check_scores(run)
    saved = {pixels(Image.open(file)) for file in run.files}
    assert saved == {pixels(image) for image in run.shown}


def test_faces_are_restored_before_other_extensions_and_the_picture_after_both_is_judged(webui: WebUI) -> None:
    prompt = "red heart, inverted"
    run = Run(webui, prompt=prompt, options={}, **RESTORED)
    assert all({v for _, c in im.convert("RGB").getcolors(4096) for v in c} <= {255, 191, 127, 63} for im in run.shown)
    check_scores(run)


@pytest.mark.parametrize("way", ["rerank", "every image"])
def test_colours_corrected_in_img2img_belong_to_the_picture_that_is_judged(webui: WebUI, way: str) -> None:
    start = Image.new("RGB", (64, 64), "orange")
    start.paste("navy", (16, 16, 48, 48))
    body = {"init_images": [encode(start)], "denoising_strength": 0.6, "n_iter": 2}
    plain = Run(webui, route="img2img", **body)
    corrected = {"img2img_color_correction": True, "save_images_before_color_correction": True}
    run = Run(webui, route="img2img", override_settings=corrected, save_images=True, **body, **asked(way))
    assert not {pixels(image) for image in run.shown} & {pixels(image) for image in plain.shown}
    check_scores(run)
