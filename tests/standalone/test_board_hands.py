"""Ranking by keys, by dragging and by touch, on large and small screens, in a real browser on the real server."""

from __future__ import annotations

import time

import pytest
from board_server import CHROMIUM, BoardServer, begin, order, places, session_of, shot, wait_for_round

if CHROMIUM is None:
    pytest.skip("no Chromium in /usr/bin: the board was not clicked", allow_module_level=True)
sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: the board was not clicked")
pytestmark = pytest.mark.timeout(1200)
expect = sync_api.expect


def test_the_keyboard_alone_starts_ranks_reorders_compares_zooms_and_takes_back(page):
    page.keyboard.press("Tab")  # the prompt is the first thing on the page
    expect(page.get_by_label("Prompt")).to_be_focused()
    page.keyboard.type("a cat 123")  # digits are text here
    assert page.get_by_label("Prompt").input_value() == "a cat 123"
    page.locator("summary", has_text="Settings").focus()
    page.keyboard.press("Enter")
    page.get_by_label("Steps").focus()
    page.keyboard.press("Control+a")
    page.keyboard.type("2")
    page.get_by_label("Prompt").focus()
    page.keyboard.press("Enter")
    wait_for_round(page, 1, 6)
    for key in ("3", "1", "=", "2", "6"):
        page.keyboard.press(key)
    assert order(page) == "3 > 1 = 2 > 6"
    page.keyboard.press("1")
    assert order(page) == "3 > 2 > 6"
    page.keyboard.press("Control+z")
    assert order(page) == "3 > 1 = 2 > 6"
    page.locator("[data-chip='6']").focus()
    page.keyboard.press("ArrowLeft")
    assert order(page) == "3 > 6 > 1 = 2"
    page.keyboard.press("=")
    assert order(page) == "3 = 6 > 1 = 2"
    page.keyboard.press("Delete")
    assert order(page) == "3 > 1 = 2"
    page.keyboard.press("c")
    compare = page.get_by_role("dialog", name="Compare two pictures")
    expect(compare).to_be_visible()
    page.keyboard.press("ArrowRight")  # the right one, 1, is better than 3
    page.keyboard.press("Escape")
    expect(compare).to_be_hidden()
    assert order(page) == "1 > 3 > 2"
    page.locator(".hps-pick").nth(4).focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Space")
    zoom = page.get_by_role("dialog", name="Picture, large")
    expect(zoom.get_by_role("img", name="Picture 4")).to_be_visible()
    page.keyboard.press("ArrowRight")
    expect(zoom.get_by_role("img", name="Picture 5")).to_be_visible()
    page.keyboard.press("Space")
    expect(zoom).to_be_hidden()
    expect(page.locator(".hps-pick").nth(3)).to_be_focused()
    page.keyboard.press("0")
    expect(page.get_by_role("button", name="None is better")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("5")
    assert order(page) == "5"
    page.keyboard.press("Enter")
    wait_for_round(page, 2, 6)
    name = page.get_by_label("Name of the session")
    name.focus()
    page.keyboard.press("Control+a")
    page.keyboard.type("cats 2")
    page.keyboard.press("Enter")
    assert order(page) == ""
    expect(page).to_have_title("cats 2 · round 2")
    outlines = page.evaluate(
        "[...document.querySelectorAll('.hps-board button, .hps-board a')].filter(x => x.offsetParent && !x.disabled)"
        ".filter(x => !(x.getAttribute('aria-label') || x.textContent).trim()).length"
    )
    assert outlines == 0  # every control has a name


def test_dragging_reorders_ties_and_ranks(page):
    begin(page, seed=31)
    for key in "1234":
        page.keyboard.press(key)

    def drag(source, target, part: float) -> None:
        start, end = source.bounding_box(), target.bounding_box()
        page.mouse.move(start["x"] + start["width"] / 2, start["y"] + start["height"] / 2)
        page.mouse.down()
        page.mouse.move(end["x"] + end["width"] * part, end["y"] + 20, steps=6)
        page.mouse.up()

    drag(page.locator("[data-chip='4']"), page.locator(".hps-tier").first, 0.1)
    assert order(page) == "4 > 1 > 2 > 3"
    drag(page.locator("[data-chip='3']"), page.locator(".hps-tier").nth(1), 0.5)
    assert order(page) == "4 > 1 = 3 > 2"
    drag(page.locator(".hps-pick").nth(1), page.locator(".hps-card").nth(3), 0.5)
    assert order(page) == "2 > 4 > 1 = 3"
    page.keyboard.press("Control+z")
    assert order(page) == "4 > 1 = 3 > 2"
    page.locator(".hps-pick").first.dblclick()  # looks, and leaves the order as it was
    expect(page.get_by_role("dialog", name="Picture, large")).to_be_visible()
    page.keyboard.press("Escape")
    assert order(page) == "4 > 1 = 3 > 2"


PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}


@pytest.mark.parametrize("page", [PHONE, {**PHONE, "color_scheme": "dark"}], indirect=True, ids=["light", "dark"])
def test_a_phone_ranks_by_tapping_and_zooms_by_a_long_press_without_scrolling_sideways(page, request):
    def fits() -> bool:
        return page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")

    assert fits()
    begin(page, seed=41)
    assert fits()
    cards = page.locator(".hps-pick")
    cards.nth(1).tap()
    cards.nth(0).tap()
    assert places(page) == ["2nd", "1st", "", ""]
    touch = page.context.new_cdp_session(page)
    box = cards.nth(2).bounding_box()
    point = {"x": box["x"] + 60, "y": box["y"] + 60}
    touch.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [point]})
    zoom = page.get_by_role("dialog", name="Picture, large")
    expect(zoom).to_be_visible()
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    page.wait_for_timeout(200)
    expect(zoom).to_be_visible()
    assert fits()
    zoom.get_by_role("button", name="Close").tap()
    assert places(page) == ["2nd", "1st", "", ""]
    shot(page, f"phone-{request.node.callspec.id}")
    page.get_by_role("button", name="Next", exact=True).tap()
    wait_for_round(page, 2)
    assert fits()
    id = session_of(page)
    page.get_by_role("button", name="Sessions").tap()
    mine = page.locator(".hps-session", has=page.locator(f"a[href*='{id}']"))
    mine.locator(".hps-session-name").tap()  # the title, not the picture above it
    wait_for_round(page, 2)
    assert session_of(page) == id


def test_inside_another_page_the_board_takes_no_keys_and_no_looks_of_its_host(page, board_server: BoardServer):
    id = begin(page, seed=91)
    page.goto(f"{board_server.url}/hps/v1/version")
    page.evaluate(
        """async (id) => {
            document.body.innerHTML =
                '<div class="gradio-container dark"><textarea></textarea><div id="here"></div></div>';
            window.pressed = [];
            document.addEventListener("keydown", (event) => window.pressed.push([event.key, event.defaultPrevented]));
            const href = "/hps/v1/board/static/board.css";
            const look = Object.assign(document.createElement("link"), {rel: "stylesheet", href});
            document.head.append(look);
            await new Promise((done) => (look.onload = done));
            const {mount} = await import("/hps/v1/board/static/board.js");
            window.board = mount(document.getElementById("here"), {api: "/hps/v1", hash: false});
            await window.board.open(id);
        }""",
        id,
    )
    wait_for_round(page, 1)
    assert page.evaluate("window.board.root.classList.contains('hps-dark')")  # the host's class
    area = page.locator("textarea").first
    area.focus()
    for key in ("1", "0", "Enter", " ", "c", "Control+z"):
        page.keyboard.press(key)
    assert area.input_value() == "" or "1" in area.input_value()
    assert order(page) == ""
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("2")
    assert order(page) == ""
    assert not any(prevented for _, prevented in page.evaluate("window.pressed"))
    page.locator(".hps-pick").nth(2).click()
    page.keyboard.press("2")
    assert order(page) == "3 > 2"
    assert page.evaluate("getComputedStyle(document.querySelector('textarea')).fontSize") == "13.3333px"
    page.evaluate("window.board.unmount()")
    assert page.locator(".hps-board").count() == 0


@pytest.mark.parametrize("count", [4, 6, 9])
def test_four_to_nine_large_pictures_fit_the_screen_without_scrolling(page, board_server: BoardServer, count):
    made = board_server.post(
        "/sessions",
        {"seed": 5, "batch": count, "settings": {"prompt": "a cat", "steps": 1, "width": 128, "height": 96}},
    )
    board_server.post(f"/sessions/{made['id']}/draw", {})
    page.goto(f"{board_server.board}#hps={made['id']}")
    wait_for_round(page, 1, count)
    for number in range(1, count + 1):
        page.keyboard.press(str(number))
    time.sleep(0.3)
    assert page.evaluate("document.documentElement.scrollHeight <= window.innerHeight")
    boxes = [card.bounding_box() for card in page.locator(".hps-card").all()]
    assert all(box["width"] / box["height"] == pytest.approx(128 / 96, rel=0.02) for box in boxes)
    assert min(box["width"] for box in boxes) >= 150
