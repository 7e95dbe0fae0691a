"""The ranking board in a real browser on the real server: by clicks, keys and touch, in two tabs, through a crash."""

from __future__ import annotations

import io
import re
import time
from pathlib import Path

import pytest
from board_server import CHROMIUM, PATIENCE_MS, BoardServer, begin, order, places, session_of, shot, wait_for_round
from PIL import Image, ImageChops

from lib_hps.infotext import read_generation

if CHROMIUM is None:
    pytest.skip("no Chromium in /usr/bin: the board was not clicked", allow_module_level=True)
sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: the board was not clicked")
pytestmark = pytest.mark.timeout(1200)
expect = sync_api.expect


@pytest.fixture
def page(board_server, chromium, request):
    options = getattr(request, "param", {"viewport": {"width": 1280, "height": 800}})
    context = chromium.new_context(accept_downloads=True, **options)
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    page.faults, page.asked = [], []
    page.on("pageerror", lambda error: page.faults.append(str(error)))
    page.on("request", lambda asked: page.asked.append(asked.url))
    page.goto(board_server.board)
    page.get_by_role("button", name="Start", exact=True).wait_for()
    yield page
    assert page.faults == []
    assert [url for url in page.asked if not url.startswith((board_server.url, "data:", "blob:"))] == []
    context.close()


def ready_scorers(board_server: BoardServer) -> list[str]:
    return [each["name"] for each in board_server.get("/scorers")["scorers"] if each["available"]]


def pixels(raw: bytes) -> Image.Image:
    with Image.open(io.BytesIO(raw)) as image:
        return image.convert("RGB")


def test_three_rounds_survive_an_undo_and_a_killed_server_and_the_recipe_draws_the_picture_again(
    page, board_server: BoardServer, tmp_path
):
    id = begin(page)
    page.get_by_role("button", name=re.compile("^Picture 3,")).click()
    page.get_by_role("button", name=re.compile("^Picture 1,")).click()
    assert places(page) == ["2nd", "", "1st", ""]
    shot(page, "ranked-light")
    page.get_by_role("button", name="Next", exact=True).click()
    wait_for_round(page, 2)
    for key in ("2", "4", "=", "1", "Enter"):
        page.keyboard.press(key)
    wait_for_round(page, 3)
    page.keyboard.press("Control+z")
    wait_for_round(page, 2)
    assert order(page) == "2 > 4 = 1"  # what was said is there to be changed
    page.keyboard.press("4")
    page.keyboard.press("Enter")
    wait_for_round(page, 3)
    assert [each["order"] for each in board_server.get(f"/sessions/{id}")["history"]] == [[[3], [1]], [[2], [1]]]
    page.keyboard.press("1")

    board_server.kill()
    page.keyboard.press("Enter")
    page.get_by_text("The server does not answer").first.wait_for()
    assert order(page) == "1"
    board_server.start()
    page.reload()
    wait_for_round(page, 3)
    assert order(page) == "1"  # the half-made ranking too
    assert page.locator(".hps-round-item").count() == 2

    page.keyboard.press("Enter")
    wait_for_round(page, 4)
    winner = board_server.get(f"/sessions/{id}/best")
    page.get_by_role("button", name="Finish", exact=True).click()
    dialog = page.get_by_role("dialog", name="Finish")
    dialog.get_by_label("Width").fill("128")
    dialog.get_by_label("Height").fill("128")
    dialog.get_by_role("button", name="Finish", exact=True).click()
    page.locator(".hps-final").wait_for()
    shot(page, "finished-light")
    with page.expect_download() as saved:
        page.get_by_role("link", name="Save the picture").click()
    final = tmp_path / "final.png"
    saved.value.save_as(final)
    page.locator("summary", has_text="Recipe").click()
    recipe = page.locator(".hps-infotext").inner_text()

    assert Image.open(final).size == (128, 128)
    assert "HPS noise" in recipe
    assert read_generation(final).prompt == "a cat"
    again = board_server.run(
        "render", "--infotext", str(final), "--checkpoint", str(board_server.checkpoint), "--device", "cpu",
        "--out", str(tmp_path / "final-again.png"),
    )  # fmt: skip
    assert again.returncode == 0, again.stdout + again.stderr
    (tmp_path / "winner.txt").write_text(winner["infotext"])
    text = board_server.run(
        "render", "--infotext", str(tmp_path / "winner.txt"), "--checkpoint", str(board_server.checkpoint),
        "--device", "cpu", "--out", str(tmp_path / "winner.png"),
    )  # fmt: skip
    assert text.returncode == 0, text.stdout + text.stderr
    for made, shown in (("final-again.png", final.read_bytes()), ("winner.png", board_server.bytes(winner["picture"]))):
        assert ImageChops.difference(pixels((tmp_path / made).read_bytes()), pixels(shown)).getbbox() is None
    clicked_choices_become_a_classifier(board_server, tmp_path)


def clicked_choices_become_a_classifier(board_server: BoardServer, tmp_path: Path) -> None:
    """What was clicked above goes through training and scores a picture; the answer that was undone is not there."""
    classifier, rows = tmp_path / "clicked.safetensors", tmp_path / "rows.jsonl"
    places = ["--out", str(classifier), "--run", str(tmp_path / "run"), "--device", "cpu"]
    shares = ["--base", "tiny-hps", "--test-share", "0", "--validation-share", "0"]
    trained = board_server.run("train-scorer", "outputs/choices", *places, *shares)
    assert trained.returncode == 0, trained.stdout + trained.stderr
    assert "3 choices learned; nothing had to be left out" in trained.stderr
    scored = board_server.run(
        "score", str(tmp_path / "winner.png"), "--prompt", "a cat", "--scorer", str(classifier), "--out", str(rows)
    )
    assert scored.returncode == 0, scored.stdout + scored.stderr
    assert rows.read_text().count("winner.png") == 1


def test_of_two_tabs_the_late_one_is_told_what_the_other_did_and_shows_it(page, board_server: BoardServer):
    id = begin(page, seed=21)
    other = page.context.new_page()
    other.goto(f"{board_server.board}#hps={id}")
    wait_for_round(other, 1)
    other.bring_to_front()
    other.keyboard.press("4")
    other.keyboard.press("2")
    page.bring_to_front()
    page.keyboard.press("1")
    page.keyboard.press("Enter")
    wait_for_round(page, 2)
    # the board of the other tab looks when it is shown again; here it was never hidden, so it finds out by asking
    other.locator(".hps-next").click()
    other.get_by_text(
        "Another tab answered round 1 with 1. Here is round 2; your order for round 1 was not sent."
    ).wait_for()
    wait_for_round(other, 2)
    history = board_server.get(f"/sessions/{id}")["history"]
    assert [each["order"] for each in history] == [[[1]]]
    other.keyboard.press("3")
    other.keyboard.press("Enter")
    wait_for_round(other, 3)
    assert [each["order"] for each in board_server.get(f"/sessions/{id}")["history"]] == [[[1]], [[3]]]


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


def test_automatic_rounds_show_progress_and_the_curve_and_cancel_keeps_the_best(page, board_server: BoardServer):
    id = begin(page, seed=51)
    page.get_by_role("radio", name="Automatic").click()
    page.get_by_label("Rounds", exact=True).fill("60")
    page.get_by_label("Stop after rounds without gain").fill("")
    held_out = "tiny-holdout" if "tiny-holdout" in ready_scorers(board_server) else ""  # "": nobody
    page.get_by_label("Checked by").select_option(held_out)
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.get_by_role("progressbar")).to_be_visible()
    page.locator(".hps-run-chart .hps-line").first.wait_for()
    shot(page, "auto-light")
    page.get_by_role("button", name="Cancel", exact=True).click()
    page.locator(".hps-running").wait_for(state="hidden")
    state = board_server.get(f"/sessions/{id}")
    done = len(state["history"])
    assert 2 <= done < 60
    scores = [each["score"] for each in state["history"]]
    assert scores == sorted(scores)  # the incumbent of noiseless answers never falls
    assert state["best"]["score"] == scores[-1]
    assert page.locator(".hps-round-item").count() == done
    assert state["task"] is None
    assert [bool(held_out)] * done == [each["holdout"] is not None for each in state["history"]]
    assert page.locator(".hps-rail polyline").count() == (2 if held_out else 1)


def test_several_scorers_rank_together_with_weights(page, board_server: BoardServer):
    if len(ready_scorers(board_server)) < 2:
        pytest.skip("one scorer only: the bundled models are not here")
    id = begin(page, seed=55)
    page.get_by_role("radio", name="Automatic").click()
    page.get_by_label("Rounds", exact=True).fill("2")
    page.get_by_label("Ranked by").select_option("several")
    page.get_by_label("Weight of taste").fill("2")
    page.get_by_label("Weight of tiny-hps").fill("0.5")
    page.get_by_label("Weight of tiny-holdout").fill("0")
    page.get_by_label("Checked by").select_option("tiny-hps")
    page.get_by_role("button", name="Run", exact=True).click()
    page.get_by_text("The held-out scorer must be another one").wait_for()
    page.get_by_label("Checked by").select_option("tiny-holdout")
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.locator(".hps-round-item")).to_have_count(2)
    history = board_server.get(f"/sessions/{id}")["history"]
    assert {each["by"] for each in history} == {"ensemble:taste=2,tiny-hps=0.5"}
    assert "taste + tiny-hps" in page.locator(".hps-round-item").first.inner_text()


def test_a_mixed_round_shows_the_scorers_order_and_the_person_changes_it(page, board_server: BoardServer):
    id = begin(page, seed=61)
    page.get_by_role("radio", name="Mixed").click()
    page.get_by_label("Draw").fill("9")
    page.get_by_role("button", name="Draw and choose").click()
    page.get_by_text("This is the scorer's order").wait_for()
    state = board_server.get(f"/sessions/{id}")
    shown = [number for tier in state["ranking"] for number in tier]
    scores = {each["number"]: each["score"] for each in state["candidates"]}
    assert [scores[number] for number in shown] == sorted(scores.values(), reverse=True)
    assert order(page) == " > ".join(map(str, shown))
    page.locator(f"[data-chip='{shown[0]}']").click()
    page.keyboard.press("Enter")
    page.locator(".hps-round-item").wait_for()
    assert board_server.get(f"/sessions/{id}")["history"][0]["order"] == [[number] for number in shown[1:]]
    page.get_by_role("button", name="Cancel", exact=True).click()


def test_sessions_are_renamed_branched_deleted_brought_back_exported_and_imported(
    page, board_server: BoardServer, tmp_path
):
    id = begin(page, "<img src=x onerror=alert(1)> cat", seed=71)
    assert page.locator(".hps-board img[src='x']").count() == 0  # words of people are words
    page.keyboard.press("2")
    page.keyboard.press("Enter")
    wait_for_round(page, 2)
    page.get_by_role("button", name="Branch from round 1").click()
    wait_for_branch = page.get_by_text("This is a new session, as it was before round 1")
    wait_for_branch.wait_for()
    assert session_of(page) != id
    page.go_back()
    wait_for_round(page, 2)
    assert session_of(page) == id
    page.get_by_role("button", name="Sessions").click()
    mine = page.locator(".hps-session", has=page.locator(f"a[href*='{id}']"))
    mine.get_by_role("button", name="Rename").click()
    page.get_by_label("New name").fill("my cats")
    page.keyboard.press("Enter")
    expect(mine.locator(".hps-session-name")).to_have_text("my cats")
    shot(page, "sessions-light")
    with page.expect_download() as saved:
        mine.get_by_role("link", name="Export").click()
    archive = tmp_path / "session.zip"
    saved.value.save_as(archive)
    mine.get_by_role("button", name="Delete").click()
    page.get_by_text("“my cats” is in the trash.").wait_for()
    expect(mine).to_have_count(0)
    page.get_by_role("button", name="Undo", exact=True).click()
    expect(mine).to_have_count(1)
    page.locator("input[type=file]").set_input_files(archive)
    page.locator(".hps-say b", has_text="Round 2").wait_for()
    assert session_of(page) != id
    assert len(board_server.get(f"/sessions/{session_of(page)}")["history"]) == 1
    page.get_by_role("button", name="Sessions").click()
    page.locator("input[type=file]").set_input_files({"name": "no.zip", "mimeType": "application/zip", "buffer": b"no"})
    page.locator(".hps-error").wait_for()
    expect(page.get_by_role("button", name="Start", exact=True)).to_be_enabled()


def test_settings_change_between_rounds_and_a_mistake_is_said_and_loses_nothing(page, board_server: BoardServer):
    id = begin(page, seed=81)
    page.keyboard.press("2")
    page.keyboard.press("Enter")
    wait_for_round(page, 2)
    page.get_by_role("button", name="Settings").click()
    box = page.locator(".hps-settings")
    box.get_by_label("Prompt").fill("a dog 7")
    box.get_by_label("Width").fill("72")
    assert order(page) == ""
    box.get_by_role("button", name="Apply").click()
    page.get_by_text("a cat -> a dog 7").first.wait_for()
    wait_for_round(page, 2)
    settings = board_server.get(f"/sessions/{id}")["settings"]
    assert (settings["prompt"], settings["width"], settings["steps"]) == ("a dog 7", 72, 2)
    page.goto(f"{board_server.board}#hps=20200101-000000-aaaaaa")
    page.locator(".hps-error").wait_for()
    expect(page.get_by_role("button", name="Start", exact=True)).to_be_enabled()


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
