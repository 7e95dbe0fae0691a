"""A session on the ranking board in a real browser on the real server: through a crash, in two tabs, to its picture."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from board_server import CHROMIUM, BoardServer, begin, order, places, session_of, shot, wait_for_round
from PIL import Image, ImageChops

from lib_hps.infotext import read_generation

if CHROMIUM is None:
    pytest.skip("no Chromium in /usr/bin: the board was not clicked", allow_module_level=True)
sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: the board was not clicked")
pytestmark = pytest.mark.timeout(1200)
expect = sync_api.expect


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
