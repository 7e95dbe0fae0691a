"""Scoring in Extras: single pictures, a batch and a folder; the final picture is judged, by its own prompt."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image
from webui_page import NEEDS_BROWSER, opened
from webui_runs import NEEDS_SCORER, PROMPT, Run, decode, encode, my_scores
from webui_server import WebUI

from lib_hps.infotext import png_info

pytestmark = NEEDS_SCORER


@pytest.fixture(scope="module")
def pictures(webui: WebUI) -> list[Image.Image]:
    return Run(webui, n_iter=1).shown


def score_in(html: str) -> float:
    return float(re.search(r"HPS: (-?[\d.]+)", html)[1])  # type: ignore[index]


def with_setting(webui: WebUI, value: bool) -> None:
    webui.post("/sdapi/v1/options", {"hps_score_every_image": value, "hps_scorer": "tiny-hps"})


@pytest.fixture
def scores_all(webui: WebUI):
    with_setting(webui, True)
    yield
    with_setting(webui, False)


@pytest.mark.usefixtures("scores_all")
def test_a_single_picture_is_scored_by_its_own_prompt(webui: WebUI, pictures: list[Image.Image]) -> None:
    sent = encode(pictures[0], pnginfo=png_info(pictures[0].info["parameters"]))
    answer = webui.post("/sdapi/v1/extra-single-image", {"image": sent, "upscaling_resize": 1})
    assert score_in(answer["html_info"]) == pytest.approx(my_scores([decode(answer["image"])])[0], abs=2e-4)
    assert "HPS scorer: tiny-hps" in answer["html_info"]


@pytest.mark.usefixtures("scores_all")
def test_the_upscaled_picture_is_the_one_that_is_judged(webui: WebUI, pictures: list[Image.Image]) -> None:
    sent = encode(pictures[0], pnginfo=png_info(pictures[0].info["parameters"]))
    body = {"image": sent, "upscaling_resize": 3, "upscaler_1": "Nearest"}
    answer = webui.post("/sdapi/v1/extra-single-image", body)
    out = decode(answer["image"])
    assert out.size == (192, 192)
    assert score_in(answer["html_info"]) == pytest.approx(my_scores([out])[0], abs=2e-4)


@pytest.mark.usefixtures("scores_all")
def test_a_batch_is_scored_and_a_picture_without_a_prompt_says_so(webui: WebUI, pictures: list[Image.Image]) -> None:
    told = [
        {"data": encode(p, pnginfo=png_info(p.info["parameters"])), "name": f"{i}.png"} for i, p in enumerate(pictures)
    ]
    silent = {"data": encode(Image.new("RGB", (64, 64), "red")), "name": "silent.png"}
    answer = webui.post("/sdapi/v1/extra-batch-images", {"imageList": [*told, silent], "upscaling_resize": 1})
    images = [decode(image) for image in answer["images"]]
    assert len(images) == 3
    said = [image.info["postprocessing"] for image in images]
    assert [score_in(text) for text in said[:2]] == pytest.approx(my_scores(pictures, PROMPT), abs=2e-4)
    assert "not scored" in said[2]


def test_nothing_is_scored_unless_asked_for(webui: WebUI, pictures: list[Image.Image]) -> None:
    answer = webui.post("/sdapi/v1/extra-single-image", {"image": encode(pictures[0]), "upscaling_resize": 1})
    assert "HPS" not in answer["html_info"]


@NEEDS_BROWSER
def test_on_the_page_a_single_picture_comes_back_with_its_score(webui: WebUI, tmp_path: Path) -> None:
    (picture,) = Run(webui, n_iter=1, seed=7).shown[:1]
    file = tmp_path / "picture.png"
    picture.save(file, pnginfo=png_info(picture.info["parameters"]))
    with opened(webui.url) as page:
        page.tab("Extras")
        page.raw.locator("#extras_image input[type=file]").first.set_input_files(file)
        page.raw.locator("#extras_image img").first.wait_for()
        page.raw.locator("#extras_hps").get_by_text("HPS: score").first.click()
        page.raw.locator("#extras_hps_enable input[type=checkbox]").check()
        page.raw.locator("#extras_generate").click()
        shown = page.raw.locator("#html_info_extras, #html_info_x_extras").filter(has_text="HPS: ").first
        shown.wait_for()
        page.shot("extras-single")
        expected = my_scores([picture], PROMPT)[0]
        assert abs(score_in(shown.inner_text()) - expected) < 1e-3
        assert page.errors == []
