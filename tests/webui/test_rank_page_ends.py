"""How the mode "Rank" ends on the page: automatic rounds that run out, and the finish of an img2img session."""

from __future__ import annotations

from pathlib import Path

from PIL import Image
from webui_board import Board, expect
from webui_page import NEEDS_BROWSER, Page
from webui_runs import NEEDS_SCORER
from webui_server import WebUI

from lib_hps.infotext import read_generation

pytestmark = [*NEEDS_SCORER, NEEDS_BROWSER]


def test_automatic_rounds_end_by_themselves_and_a_person_goes_on(board: Board, page: Page) -> None:
    board.start()
    board.wait_until_idle()
    board.node.get_by_role("radio", name="Automatic").click()
    board.node.get_by_label("Rounds", exact=True).fill("3")
    board.node.get_by_label("Stop after rounds without gain").fill("")
    board.button("Run").click()
    board.node.get_by_text("All 3 rounds are done").first.wait_for()
    board.wait_until_idle()
    state = board.state
    assert (len(state["history"]), state["round"], state["task"]) == (3, 4, None)
    assert {answer["by"] for answer in state["history"]} == {"tiny-hps"}
    assert [one.settings["HPS noise"] for one in page.generations] == [state["best"]["recipe"]]
    assert "All 3 rounds are done" in page.message
    page.shot("rank-auto-done")
    board.node.get_by_role("radio", name="I rank").click()
    board.button("Draw the pictures").click()
    board.wait_for_round(4)
    board.pick(2)
    board.button("Next").click()
    board.wait_for_round(5)
    assert board.orders[3] == [[2]]
    assert board.state["history"][3]["by"] != "tiny-hps"


def test_the_winner_of_an_img2img_session_is_drawn_over_at_its_full_size(
    webui: WebUI, page: Page, tmp_path: Path
) -> None:
    Image.new("RGB", (64, 64), "orange").save(tmp_path / "orange.png")
    page.form = "img2img"
    page.tab("img2img")
    page.raw.locator("#img2img_image input[type=file]").set_input_files(tmp_path / "orange.png")
    page.fill(count=1, size=2, seed=11)
    page.number("#img2img_denoising_strength", 0.9)
    board = Board(webui, page, "img2img")
    board.choose()
    board.start(count=3)
    assert "Init image: " in board.state["settings"]["more"]
    board.pick(3, 1)
    page.shot("rank-img2img")
    board.button("Next").click()
    board.wait_for_round(2, 3)
    board.pick(1)
    file = board.finish(96, 128)
    page.shot("rank-img2img-finished")
    state = board.state
    assert board.orders == [[[3], [1]], [[1]]]
    assert state["status"] == "finished"
    said = read_generation(file)
    assert said is not None
    assert said.settings["HPS noise"] == state["best"]["recipe"]
    assert (said.settings["HPS session"], said.settings["Size"]) == (board.session, "96x128")
    assert [one.settings["HPS noise"] for one in page.generations] == [state["best"]["recipe"]]
    with Image.open(file) as image:
        assert image.size == (96, 128)
    shown = board.node.locator(".hps-final img").first
    expect(shown).to_be_visible()
    assert shown.evaluate("image => [image.naturalWidth, image.naturalHeight]") == [96, 128]
