"""Rounds that a scorer ranks, alone or together with a person, in a real browser on the real server."""

from __future__ import annotations

import pytest
from board_server import CHROMIUM, BoardServer, begin, order, shot

if CHROMIUM is None:
    pytest.skip("no Chromium in /usr/bin: the board was not clicked", allow_module_level=True)
sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: the board was not clicked")
pytestmark = pytest.mark.timeout(1200)
expect = sync_api.expect


def test_automatic_rounds_show_progress_and_the_curve_and_cancel_keeps_the_best(page, board_server: BoardServer):
    id = begin(page, seed=51)
    page.get_by_role("radio", name="Automatic").click()
    page.get_by_label("Rounds", exact=True).fill("60")
    page.get_by_label("Stop after rounds without gain").fill("")
    page.get_by_label("Checked by").select_option("tiny-holdout")
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
    assert all(each["holdout"] is not None for each in state["history"])
    assert page.locator(".hps-rail polyline").count() == 2


def test_several_scorers_rank_together_with_weights(page, board_server: BoardServer):
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
