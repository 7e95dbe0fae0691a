"""The board in the WebUI's own page: three rounds by clicks and keys, a killed server, the finish, the paste."""

from __future__ import annotations

from pathlib import Path

from webui_page import NEEDS_BROWSER, Page, opened, sync_api
from webui_runs import NEEDS_SCORER, saved_files
from webui_server import WebUI

pytestmark = [*NEEDS_SCORER, NEEDS_BROWSER]
BOARD = "#script_txt2img_hps_board"
expect = sync_api.expect
expect.set_options(timeout=40_000)


def choose_rank(page: Page) -> None:
    page.choose("#script_list", "HPS")
    page.raw.locator("#script_txt2img_hps_mode").get_by_text("Rank", exact=True).click()
    page.raw.locator(f"{BOARD} .hps-start").wait_for()


def begin(page: Page) -> None:
    page.fill(count=3, size=1)
    choose_rank(page)
    page.raw.locator(f"{BOARD} .hps-more summary").click()
    page.raw.locator(f"{BOARD} .hps-more").get_by_label("Pictures a round").fill("3")
    page.raw.locator(f"{BOARD} .hps-start").click()


def wait_for_round(page: Page, round: int) -> None:
    expect(page.raw.locator(f"{BOARD} .hps-say")).to_contain_text(f"Round {round}")
    expect(page.raw.locator(f"{BOARD} .hps-pick:not(:disabled)")).to_have_count(3)
    page.raw.locator("#txt2img_interrupt").wait_for(state="hidden")


def test_three_rounds_undo_and_finish_by_clicks_and_keys(webui: WebUI) -> None:
    before = saved_files(webui)
    with opened(webui.url) as page:
        begin(page)
        wait_for_round(page, 1)
        page.shot("rank-round-1")
        picks = page.raw.locator(f"{BOARD} .hps-pick")
        picks.nth(1).click()
        picks.nth(0).click()
        page.raw.locator(f"{BOARD} .hps-next").click()
        wait_for_round(page, 2)
        assert len(page.generations) == 3  # the round in the host's gallery, the best so far with it
        page.raw.locator(f"{BOARD} .hps-board").focus()
        for key in ("2", "1", "Enter"):
            page.raw.keyboard.press(key)
        wait_for_round(page, 3)
        page.shot("rank-round-3")
        page.raw.locator(f"{BOARD} .hps-board").focus()
        page.raw.keyboard.press("Control+z")
        wait_for_round(page, 2)
        page.raw.locator(f"{BOARD} .hps-board").focus()
        for key in ("3", "Enter"):
            page.raw.keyboard.press(key)
        wait_for_round(page, 3)
        page.raw.reload()
        page.raw.locator("#txt2img_generate").wait_for()
        page.raw.wait_for_timeout(1500)
        page.choose("#script_list", "HPS")
        page.raw.locator("#script_txt2img_hps_mode").get_by_text("Rank", exact=True).click()
        wait_for_round(page, 3)
        expect(page.raw.locator("#txt2img_prompt textarea")).to_have_value("red heart, noto style")
        page.raw.wait_for_timeout(1500)
        finish(page)
        first = newest(webui, before)
        page.shot("rank-finished")
        assert page.errors == []
    with opened(webui.url) as page:  # another browser, and the session is not asked for
        page.text("#txt2img_prompt", read_infotext(first))
        page.raw.locator("#txt2img_tools #paste").click()
        expect(page.raw.locator("#script_txt2img_hps_recipe textarea")).not_to_have_value("")
        page.raw.wait_for_timeout(1500)
        known = saved_files(webui)
        page.start()
        page.wait_for_result()
        assert newest(webui, known).read_bytes() == first.read_bytes()


def finish(page: Page) -> None:
    page.raw.locator(f"{BOARD} .hps-top").get_by_text("Finish").click()
    dialog = page.raw.locator(f"{BOARD} dialog.hps-finish")
    dialog.get_by_label("Width").fill("128")
    dialog.get_by_label("Height").fill("128")
    dialog.locator("[type=submit]").click()
    expect(page.raw.locator(f"{BOARD} .hps-final")).to_have_count(1)
    page.raw.locator("#txt2img_interrupt").wait_for(state="hidden")


def newest(webui: WebUI, before: set[Path]) -> Path:
    return max(saved_files(webui) - before, key=lambda path: path.stat().st_mtime_ns)


def read_infotext(path: Path) -> str:
    from PIL import Image

    with Image.open(path) as image:
        return str(image.info["parameters"])
