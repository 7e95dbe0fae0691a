"""The script's mode "Rank" on the page of a real WebUI, in a real browser: a whole session, and what may go wrong."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from safetensors import safe_open
from safetensors.torch import save_file
from webui_board import Board, expect, until
from webui_page import NEEDS_BROWSER, Page, opened
from webui_runs import NEEDS_SCORER, Run
from webui_server import BUNDLED, Server, WebUI, find_root

from lib_hps.infotext import read_generation
from lib_hps.session.pictures import read_infotext

pytestmark = [*NEEDS_SCORER, NEEDS_BROWSER]


@pytest.fixture
def page(webui: WebUI) -> Iterator[Page]:
    with opened(webui.url, width=1280, height=900) as page:
        yield page
        assert page.errors == []


@pytest.fixture
def board(webui: WebUI, page: Page) -> Board:
    page.fill(count=1, size=2, seed=11)
    board = Board(webui, page)
    board.choose()
    return board


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


def test_automatic_rounds_that_are_interrupted_keep_the_best_so_far(board: Board, page: Page) -> None:
    board.start()
    board.wait_until_idle()
    board.node.get_by_role("radio", name="Automatic").click()
    board.node.get_by_label("Rounds", exact=True).fill("40")
    board.node.get_by_label("Stop after rounds without gain").fill("")
    board.button("Run").click()
    board.node.get_by_role("progressbar").wait_for()
    until(lambda: len(board.state["history"]) >= 4)
    expect(board.node.get_by_role("img", name="The best so far")).to_be_visible()  # live, as are the words and the bar
    page.shot("rank-auto")
    shares = []
    for _ in range(8):
        progress = board.state["progress"]
        shares += [progress["done"]] if progress else []
        board.raw.wait_for_timeout(300)
    assert shares == sorted(shares)
    assert 0 < shares[0] < shares[-1] < 1
    host = float(page.raw.locator("#txt2img_results .progress").first.evaluate("node => parseFloat(node.style.width)"))
    assert 2 < host < 90  # the WebUI's own bar is about all rounds, not about one
    page.raw.locator("#txt2img_interrupt").click()
    board.node.locator(".hps-running").wait_for(state="hidden")
    board.wait_until_idle()
    state = board.state
    assert 4 <= len(state["history"]) < 40
    scores = [answer["score"] for answer in state["history"]]
    assert scores == sorted(scores)
    assert state["best"]["score"] == scores[-1]
    assert [one.settings["HPS noise"] for one in page.generations] == [state["best"]["recipe"]]
    assert "kept" in page.message
    board.button("Finish").click()
    expect(board.node.get_by_role("dialog", name="Finish")).to_be_visible()


def test_a_mixed_round_shows_the_scorers_best_and_the_person_changes_the_order(board: Board, page: Page) -> None:
    board.start()
    board.wait_until_idle()
    board.node.get_by_role("radio", name="Mixed").click()
    board.node.get_by_label("Draw", exact=True).fill("9")
    board.button("Draw and choose").click()
    board.node.get_by_text("This is the scorer's order").wait_for()
    board.wait_until_idle()
    state = board.state
    shown = [number for tier in state["ranking"] for number in tier]
    assert board.order == " > ".join(map(str, shown))
    assert len(page.generations) == 4
    page.shot("rank-mixed")
    board.node.locator(f"[data-chip='{shown[0]}']").click()
    board.node.focus()
    board.keys("Enter")
    board.node.locator(".hps-round-item").first.wait_for()
    assert board.orders[0] == [[number] for number in shown[1:]]
    board.node.get_by_text("This is the scorer's order").wait_for()  # the next mixed round was drawn at once


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
        assert sent.evaluate("image => image.naturalWidth") == 128
    assert page.value("#img2img_prompt") == "blue heart, noto style"


def contrary_scorer(webui: WebUI) -> str:
    """tiny-holdout with its text turned round: likes exactly what that one dislikes."""
    source, folder = BUNDLED / "tiny-holdout", webui.data / "models" / "HPS"
    folder.mkdir(parents=True, exist_ok=True)
    with safe_open(source / "model.safetensors", "pt") as file:
        tensors, said = {key: file.get_tensor(key) for key in file.keys()}, file.metadata()  # noqa: SIM118
    tensors["text_projection"] = -tensors["text_projection"]
    save_file(tensors, folder / "contrary.safetensors", said)
    shutil.copy(source / "merges.txt.gz", folder)
    return "contrary"


def test_the_held_out_scorer_warns_where_it_falls_while_the_optimised_one_rises(board: Board, page: Page) -> None:
    task = {"do": "auto", "rounds": 4, "scorer": contrary_scorer(board.webui), "holdout": "tiny-holdout"}
    run = Run(
        board.webui, options={"mode": "Rank", "task": {"new": {"batch": 6, "name": "contrary"}, **task}}, n_iter=1
    )
    id = run.info["extra_generation_params"]["HPS session"]
    history = board.webui.get(f"/hps/v1/sessions/{id}")["history"]
    assert [answer["score"] for answer in history] == pytest.approx(
        [-answer["holdout"] for answer in history], abs=1e-5
    )
    assert "tiny-holdout (held out) fell" in run.message
    page.raw.reload()
    page.raw.wait_for_timeout(3000)
    board.choose()
    board.open("contrary")
    expect(board.node.locator(".hps-banner")).to_contain_text("tiny-holdout (held out) fell")
    assert board.node.locator(".hps-rail polyline").count() == 2  # both curves
    page.shot("rank-warning")


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
