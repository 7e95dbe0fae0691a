"""The script "HPS" in img2img and inpainting: masks stay with their picture and are never judged."""

from __future__ import annotations

import pytest
from PIL import Image
from webui_runs import NEEDS_SCORER, Run, check_scores, encode
from webui_server import WebUI

pytestmark = NEEDS_SCORER


def picture() -> Image.Image:
    image = Image.new("RGB", (64, 64), "orange")
    image.paste("navy", (16, 16, 48, 48))
    return image


def test_img2img_is_sorted(webui: WebUI) -> None:
    body = {"init_images": [encode(picture())], "denoising_strength": 0.6}
    run = Run(webui, route="img2img", options={}, n_iter=2, save_images=True, **body)
    assert sorted(run.seeds) == [10, 11, 12, 13]
    assert run.scores == sorted(run.scores, reverse=True)
    check_scores(run)
    assert len(run.files) == 4


@pytest.mark.parametrize("returns_mask", [False, True])
def test_inpainting_judges_the_whole_picture(webui: WebUI, returns_mask: bool) -> None:
    mask = Image.new("L", (64, 64), 0)
    mask.paste(255, (16, 16, 48, 48))
    body = {
        "init_images": [encode(picture())],
        "mask": encode(mask),
        "inpaint_full_res": True,
        "inpainting_fill": 1,
        "denoising_strength": 0.6,
        "override_settings": {"return_mask": returns_mask},
    }
    run = Run(webui, route="img2img", options={"keep": 3}, n_iter=2, **body)
    assert run.settings("HPS rank")[:3] == ["1/4", "2/4", "3/4"]
    assert len(run.shown) == (6 if returns_mask else 3)
    corners = {image.convert("RGB").getpixel((0, 0)) for image in run.shown[:3]}
    assert corners == {(255, 165, 0)}  # what was not painted over is there: the composite, not the cut-out
    run.generations = run.generations[:3]
    check_scores(run)
    if returns_mask:
        masks = [image.convert("RGB") for image in run.shown[3:]]
        assert {(m.getpixel((0, 0)), m.getpixel((32, 32))) for m in masks} == {((0, 0, 0), (255, 255, 255))}
