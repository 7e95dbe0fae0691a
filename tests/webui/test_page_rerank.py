"""The script "HPS" in a real browser: pick it, generate, read the order, paste a picture back, interrupt."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from webui_page import NEEDS_BROWSER, SCRIPT, Page
from webui_runs import NEEDS_SCORER, my_scores, saved_files
from webui_server import WebUI

from lib_hps.infotext import read_generation

pytestmark = [*NEEDS_SCORER, NEEDS_BROWSER]


def files_of(webui: WebUI, before: set[Path]) -> list[Path]:
    return sorted(saved_files(webui) - before)


def test_three_batches_of_two_come_sorted_and_one_is_pasted_back(webui: WebUI, page: Page) -> None:
    before = saved_files(webui)
    page.fill(seed=20)
    page.choose_script(keep=4)
    page.shot("form")
    page.start()
    page.wait_for_result()
    page.shot("gallery")
    shown = page.generations
    assert [one.settings["HPS rank"] for one in shown] == ["1/6", "2/6", "3/6", "4/6"]
    scores = [float(one.settings["HPS"]) for one in shown]
    assert scores == sorted(scores, reverse=True)
    files = {read_generation(file).settings["Seed"]: file for file in files_of(webui, before)}  # type: ignore[union-attr]
    assert sorted(files) == sorted(one.settings["Seed"] for one in shown)
    pictures = [Image.open(files[one.settings["Seed"]]) for one in shown]
    assert scores == pytest.approx(my_scores(pictures, shown[0].prompt), abs=2e-4)
    look_at_the_gallery(page, [one.settings["HPS"] for one in shown])
    paste_back(page, files[shown[1].settings["Seed"]], seed=shown[1].settings["Seed"])


def look_at_the_gallery(page: Page, scores: list[str]) -> None:
    """The line below the gallery belongs to the picture that was clicked."""
    thumbnails = page.raw.locator("#txt2img_gallery .thumbnails .thumbnail-item")
    assert thumbnails.count() == len(scores) + 1  # the grid comes first
    for place, score in enumerate(scores, start=1):
        thumbnails.nth(place).click()
        page.raw.locator("#html_info_txt2img").get_by_text(f"HPS: {score}").first.wait_for()


def paste_back(page: Page, file: Path, *, seed: str) -> None:
    """PNG Info shows the score, and sends prompt, script and options back to the form."""
    page.raw.reload()
    page.raw.wait_for_timeout(3000)
    page.tab("PNG Info")
    page.raw.locator("#pnginfo_image input[type=file]").set_input_files(file)
    page.raw.locator("#tab_pnginfo").get_by_text("HPS rank: 2/6").first.wait_for()
    page.shot("png-info")
    page.raw.locator("#tab_pnginfo #txt2img_tab").click()
    page.raw.wait_for_timeout(4000)
    assert page.value("#txt2img_script_container #script_list") == "HPS"
    assert page.value(f"{SCRIPT}_scorer") == "tiny-hps"
    assert float(page.raw.locator(f"{SCRIPT}_keep input[type=number]").input_value()) == 4
    assert page.value("#txt2img_seed") == seed
    page.shot("pasted")


def test_interrupt_stops_behind_the_running_batch_and_shows_what_there_is(webui: WebUI, page: Page) -> None:
    before = saved_files(webui)
    page.fill(count=20, steps=30, seed=40)
    page.choose_script()
    page.start()
    page.raw.wait_for_timeout(1500)
    page.raw.locator("#txt2img_interrupt").click()
    page.wait_for_result()
    shown = page.generations
    assert 2 <= len(shown) < 40
    judged = [one for one in shown if "HPS" in one.settings]
    assert len(files_of(webui, before)) == len(judged)
    total = len(judged)
    assert [one.settings["HPS rank"] for one in judged] == [f"{i}/{total}" for i in range(1, total + 1)]
    assert page.raw.locator("#txt2img_generate").is_visible()


def test_a_scorer_without_weights_leaves_the_pictures_and_says_why(page: Page) -> None:
    page.fill(count=1, seed=60)
    page.choose_script(scorer="hps-v2.1")
    page.start()
    page.wait_for_result()
    assert [one.settings["Seed"] for one in page.generations] == ["60", "61"]
    assert "hps-v2.1 could not be downloaded" in page.message
    page.shot("no-weights")
