"""The script's mode "Rank" on the page of a real WebUI, in a real browser: a whole session, and what may go wrong."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from webui_board import Board, expect
from webui_page import NEEDS_BROWSER, Page, opened
from webui_runs import NEEDS_SCORER
from webui_server import Server, WebUI, find_root

from lib_hps.infotext import read_generation
from lib_hps.session.pictures import read_infotext

pytestmark = [*NEEDS_SCORER, NEEDS_BROWSER]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(find_root(), tmp_path)
    try:
        server.start()
        yield server
    finally:
        server.stop()


def test_a_session_by_clicks_and_keys_survives_a_killed_server_and_its_picture_is_drawn_again(
    server: Server, webui: WebUI
) -> None:
    with opened(server.webui.url, width=1280, height=900) as page:
        page.fill(count=1, size=2, seed=11, prompt="blue cat face, noto style")
        board = Board(server.webui, page)
        board.choose()
        page.shot("rank-home")
        board.start()
        board.pick(3, 1)
        assert board.order == "3 > 1"
        page.shot("rank-round-1")
        board.button("Next").click()
        board.wait_for_round(2)
        board.keys("2", "4", "=", "1", "Enter")
        board.wait_for_round(3)
        board.keys("Control+z")
        board.wait_for_round(2)
        assert board.order == "2 > 4 = 1"  # what was said is there to be changed
        board.keys("4", "Enter")
        board.wait_for_round(3)
        assert board.orders == [[[3], [1]], [[2], [1]]]
        board.keys("1")
        id = board.session

        server.kill()
        board.keys("Enter")
        board.node.get_by_text("The server does not answer").first.wait_for()
        assert board.order == "1"
        server.start()
        page.raw.reload()
        board.wait_for_round(3)  # form and board come back by themselves
        assert board.session == id
        assert page.value("#txt2img_prompt") == "blue cat face, noto style"
        assert board.order == "1"  # the half-made ranking too
        page.errors.clear()  # of the host, while there was no server
        board.node.focus()
        board.keys("Enter")
        board.wait_for_round(4)
        assert board.orders == [[[3], [1]], [[2], [1]], [[1]]]

        file = board.finish(128, 128)
        page.shot("rank-finished")
        said = read_generation(file)
        assert said is not None
        assert said.settings["HPS session"] == id
        assert said.settings["Hires resize"] == "128x128"
        check_the_paste_arrow(page, board, file)
        check_png_info(page, board, file)
        assert page.errors == []
    with opened(webui.url) as page:  # another WebUI, which never heard of the session
        paste_and_draw(page, Board(webui, page), file)
        assert page.errors == []


def check_the_paste_arrow(page: Page, board: Board, file: Path) -> None:
    """The infotext in the prompt and the arrow below Generate: script, mode and recipe, and the same file again."""
    page.raw.reload()
    board.wait_for_round(4)
    paste_and_draw(page, board, file)


def paste_and_draw(page: Page, board: Board, file: Path) -> None:
    text = read_infotext(file)
    page.text("#txt2img_prompt", text)
    page.raw.locator("#txt2img_tools #paste").click()
    expect(page.raw.locator(f"{board.script}_recipe textarea")).to_be_visible()
    expect(page.raw.locator(f"{board.script}_recipe textarea")).to_have_value(re.compile(r"\d\*"))
    assert page.value(f"{board.script}_recipe") in text
    page.shot("rank-pasted")
    again = board.generate()
    assert again.read_bytes() == file.read_bytes()


def check_png_info(page: Page, board: Board, file: Path) -> None:
    """PNG Info's button "txt2img" on a page that knows nothing of the session."""
    board.mode("Rank")
    board.button("Sessions").click()
    page.raw.reload()
    page.raw.wait_for_timeout(3000)
    page.tab("PNG Info")
    page.raw.locator("#pnginfo_image input[type=file]").set_input_files(file)
    page.raw.locator("#tab_pnginfo").get_by_text("HPS noise").first.wait_for()
    page.raw.locator("#tab_pnginfo #txt2img_tab").click()
    expect(page.raw.locator(f"{board.script}_recipe textarea")).to_be_visible()
    expect(page.raw.locator(f"{board.script}_recipe textarea")).to_have_value(re.compile(r"\d\*"))
    again = board.generate()
    assert again.read_bytes() == file.read_bytes()


def test_generate_of_the_form_begins_a_session_as_start_does(board: Board, page: Page) -> None:
    board.node.get_by_label("Pictures a round").fill("3")
    page.raw.locator("#txt2img_generate").click()
    board.wait_for_round(1, 3)
    board.wait_until_idle()
    assert len(page.generations) == 3  # in the gallery too
    assert {one.settings["HPS session"] for one in page.generations} == {board.session}


def test_of_two_tabs_the_late_one_is_told_what_the_other_did_and_shows_it(board: Board, webui: WebUI) -> None:
    id = board.start()
    other_page = Page(board.raw.context.new_page())
    other_page.raw.set_default_timeout(240_000)
    other_page.open(webui.url)
    other = Board(webui, other_page)
    other.choose()
    other.node.locator(f".hps-session:has(a[href*='{id}']) .hps-session-open").click()
    other.wait_for_round(1)
    expect(other_page.raw.locator("#txt2img_prompt textarea")).to_have_value("red heart, noto style")  # the form too
    other.pick(4, 2)
    board.raw.bring_to_front()
    board.keys("1", "Enter")
    board.wait_for_round(2)
    other.button("Next").click()
    words = "Another tab answered round 1 with 1. Here is round 2; your order for round 1 was not sent."
    other.node.get_by_text(words).wait_for()
    other.wait_for_round(2)
    assert board.orders == [[[1]]]
    other.raw.bring_to_front()
    other.pick(3)
    other.button("Next").click()
    other.wait_for_round(3)
    assert board.orders == [[[1]], [[3]]]
    assert other_page.errors == []


def test_what_changes_between_rounds_is_shown_and_the_winner_is_sent_on(board: Board, page: Page) -> None:
    board.start(count=3)
    page.text("#txt2img_prompt", "blue heart, noto style")
    page.choose("#txt2img_sampling", "Euler a")
    board.pick(2)
    board.button("Next").click()
    board.wait_for_round(2, 3)
    shown = board.node.locator(".hps-say .hps-change")
    expect(shown).to_contain_text("prompt: red heart, noto style -> blue heart, noto style")
    expect(shown).to_contain_text("sampler: DDIM -> Euler a")
    page.shot("rank-changed")
    board.finish(128, 128)
    assert board.orders == [[[2]]]
    page.raw.locator("#txt2img_gallery .thumbnails .thumbnail-item, #txt2img_gallery .grid-wrap button").first.click()
    for target, place in (("img2img", "#img2img_image"), ("inpaint", "#img2maskimg"), ("extras", "#extras_image")):
        page.tab("txt2img")
        page.raw.locator(f"#txt2img_send_to_{target}").click()
        sent = page.raw.locator(f"{place} img").first
        expect(sent).to_be_visible()
        assert sent.evaluate("image => image.decode().then(() => image.naturalWidth)") == 128
        page.settle()  # the prompt and all else that is sent has arrived, too
    assert page.value("#img2img_prompt") == "blue heart, noto style"


PHONE = {"width": 390, "height": 844, "is_mobile": True, "has_touch": True}


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_on_a_phone_the_board_fits_and_fills_the_screen_when_asked(webui: WebUI, theme: str) -> None:
    with opened(f"{webui.url}/?__theme={theme}", **PHONE) as page:
        page.fill(count=1, size=2, seed=11)
        board = Board(webui, page)
        board.choose()
        page.shot(f"rank-phone-home-{theme}")

        def fits() -> bool:
            return bool(board.node.evaluate("node => node.scrollWidth <= node.clientWidth"))

        assert fits()
        board.start()
        assert fits()
        assert board.node.evaluate("node => node.classList.contains('hps-dark')") == (theme == "dark")
        board.node.get_by_role("button", name="Picture 2,").tap()
        page.shot(f"rank-phone-{theme}")
        board.button("Enlarge").tap()
        box = board.node.bounding_box()
        assert box is not None
        assert (box["x"], box["y"], box["width"], box["height"]) == (0, 0, 390, 844)
        page.shot(f"rank-phone-large-{theme}")
        board.button("Next").tap()
        board.wait_for_round(2)
        assert fits()
        assert board.orders == [[[2]]]
        board.button("Back to the form").tap()
        expect(page.raw.locator("#txt2img_prompt")).to_be_visible()
        assert page.errors == []
