"""The form of the script in a real browser: what is pasted comes back whole, and the list of weights looks again."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from PIL import Image
from webui_page import NEEDS_BROWSER, SCRIPT, Page, sync_api
from webui_runs import NEEDS_SCORER, Run
from webui_server import BUNDLED, WebUI

from lib_hps.hosts.webui.options import SAVE_APART
from lib_hps.infotext import png_info, read_generation

pytestmark = [*NEEDS_SCORER, NEEDS_BROWSER]
CHOSEN = {
    "scorer": "tiny-holdout", "candidates": 4, "keep": 3, "minimum_kind": "Percentile", "minimum": 20,
    "rest": SAVE_APART, "stops_early": True, "hires_for_kept": True,
}  # fmt: skip
HIRES = {"enable_hr": True, "hr_scale": 2, "denoising_strength": 0.5, "hr_upscaler": "Latent"}


@pytest.fixture(scope="module")
def picture(webui: WebUI, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made with every option unlike its default; in a folder of its own."""
    run = Run(webui, options=CHOSEN, n_iter=1, **HIRES)
    file = tmp_path_factory.mktemp("made") / "picture.png"
    image = run.shown[0]
    image.save(file, pnginfo=png_info(image.info["parameters"]))
    return file


def expect_all_options(page: Page) -> None:
    sync_api.expect(page.raw.locator("#txt2img_script_container #script_list input").first).to_have_value("HPS")
    for name in ("scorer", "minimum_kind", "rest"):
        sync_api.expect(page.raw.locator(f"{SCRIPT}_{name} input").first).to_have_value(str(CHOSEN[name]))
    for name in ("candidates", "keep", "minimum"):
        sync_api.expect(page.raw.locator(f"{SCRIPT}_{name} input[type=number]").first).to_have_value(str(CHOSEN[name]))
    assert page.is_checked(f"{SCRIPT}_stops_early")
    assert page.is_checked(f"{SCRIPT}_hires_for_kept")


def test_png_info_shows_the_score_and_sends_script_and_options_to_the_form(page: Page, picture: Path) -> None:
    said = read_generation(picture)
    assert said is not None
    page.tab("PNG Info")
    page.raw.locator("#pnginfo_image input[type=file]").set_input_files(picture)
    for key in ("HPS", "HPS rank", "HPS scorer"):
        page.raw.locator("#tab_pnginfo").get_by_text(f"{key}: {said.settings[key]}").first.wait_for()
    page.raw.locator("#tab_pnginfo #txt2img_tab").click()
    expect_all_options(page)
    page.shot("png-info-sent")


def test_the_paste_button_brings_script_and_options_back(page: Page, picture: Path) -> None:
    said = read_generation(picture)
    assert said is not None
    page.text("#txt2img_prompt", Image.open(picture).info["parameters"])
    page.raw.locator("#txt2img_tools #paste").click()
    expect_all_options(page)
    sync_api.expect(page.raw.locator("#txt2img_prompt textarea").first).to_have_value(said.prompt)
    page.text("#txt2img_prompt", "blue heart\nSteps: 4, Sampler: DDIM, Seed: 3")  # of a picture without the script
    page.raw.locator("#txt2img_tools #paste").click()
    sync_api.expect(page.raw.locator("#txt2img_script_container #script_list input").first).to_have_value("None")


def test_the_refresh_button_finds_weights_that_came_later(page: Page, webui: WebUI) -> None:
    page.choose("#txt2img_script_container #script_list", "HPS")
    scorer = page.raw.locator(f"{SCRIPT}_scorer")
    entries = scorer.locator("ul.options li")
    scorer.locator("input").first.click()
    sync_api.expect(entries.filter(has_text="tiny-hps")).to_have_count(1)
    sync_api.expect(entries.filter(has_text="came-later")).to_have_count(0)
    scorer.locator("input").first.press("Escape")
    folder = webui.data / "models" / "HPS"
    folder.mkdir(parents=True, exist_ok=True)
    for name, source in (("came-later.safetensors", "model.safetensors"), ("merges.txt.gz", "merges.txt.gz")):
        shutil.copy(BUNDLED / "tiny-hps" / source, folder / name)
    try:
        page.raw.locator(f"{SCRIPT}_refresh").click()
        page.raw.wait_for_timeout(1500)
        page.choose(f"{SCRIPT}_scorer", "came-later")
        page.shot("refreshed")
    finally:
        (folder / "came-later.safetensors").unlink()
