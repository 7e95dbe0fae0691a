"""What "Reload UI" leaves, in a real browser and on a server of its own: should it hang, no other test goes with it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from webui_board import Board, until
from webui_page import NEEDS_BROWSER, Page, opened, sync_api
from webui_runs import NEEDS_SCORER, Run
from webui_server import WebUI, find_root, running

pytestmark = [*NEEDS_SCORER, NEEDS_BROWSER]


@pytest.fixture(scope="module")
def webui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebUI]:
    with running(find_root(), tmp_path_factory.mktemp("reloaded")) as server:
        yield server


def starts(webui: WebUI) -> int:
    return webui.log.read_text(errors="replace").count("Startup time")


def test_reload_ui_twice_leaves_everything_working(webui: WebUI) -> None:
    for _ in range(2):
        before = starts(webui)
        with opened(webui.url) as page:
            page.tab("Settings")
            page.raw.locator("#settings_restart_gradio").click()
            until(lambda before=before: starts(webui) > before)
    run = Run(webui, options={"keep": 2}, n_iter=1)
    assert run.settings("HPS rank") == ["1/2", "2/2"]
    names = [script["name"] for script in webui.get("/sdapi/v1/script-info")]
    assert names.count("hps") == 2  # txt2img and img2img
    axes = webui.script_info("x/y/z plot")["args"][0]["choices"]
    assert sum(label.startswith("[HPS]") for label in axes) == 5
    log = webui.log.read_text(errors="replace")
    assert "sd-webui-hps" not in "\n".join(line for line in log.splitlines() if "Error" in line)
    with opened(webui.url) as page:
        page.choose("#txt2img_script_container #script_list", "HPS")
        page.raw.locator("#script_txt2img_hps_scorer").wait_for()


def reloaded(page: Page, before: float) -> bool:
    try:
        return bool(page.raw.evaluate("performance.timeOrigin") != before)
    except sync_api.Error:  # between two pages
        return False


def test_a_reload_of_the_page_and_of_the_ui_bring_the_board_back_and_another_tab_finds_the_session(
    webui: WebUI, page: Page
) -> None:
    page.fill(count=1, size=2, seed=11)
    board = Board(webui, page)
    board.choose()
    id = board.start()
    board.keys("2", "Enter")
    board.wait_for_round(2)
    board.keys("3")
    for _ in range(2):
        page.settle()
        page.raw.reload()
        board.wait_for_round(2)
        assert (board.session, board.order) == (id, "3")
    page.settle()
    page.errors.clear()
    loads = page.raw.evaluate("performance.timeOrigin")
    page.raw.get_by_role("link", name="Reload UI").click()
    until(lambda: reloaded(page, loads))
    board.wait_for_round(2)
    assert (board.session, board.order) == (id, "3")
    page.errors.clear()  # the host's own, while it was away
    board.node.focus()
    board.keys("Enter")
    board.wait_for_round(3)
    other_page = Page(page.raw.context.new_page())
    other_page.raw.set_default_timeout(240_000)
    other_page.open(webui.url)
    other = Board(webui, other_page)
    other.choose()
    other.node.locator(f".hps-session:has(a[href*='{id}']) .hps-session-open").click()
    other.wait_for_round(3)
    assert other.order == ""


LOSES_THE_FIRST_PASTE = """
window.isLost = false;
addEventListener("click", (event) => {
  if (window.isLost || !event.target.closest?.("#paste")) return;
  window.isLost = true;
  event.stopImmediatePropagation();
}, true);
"""


def test_a_paste_that_gets_lost_behind_a_reload_is_repeated(webui: WebUI, page: Page) -> None:
    page.fill(count=1, size=2, seed=11)
    board = Board(webui, page)
    board.choose()
    id = board.start(count=2)
    page.raw.add_init_script(LOSES_THE_FIRST_PASTE)
    page.settle()
    page.raw.reload()
    board.wait_for_round(1, 2)
    assert board.session == id
    assert page.raw.evaluate("window.isLost")
