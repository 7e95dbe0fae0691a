"""The script's mode "Rank" on the page of a real WebUI where a scorer ranks: alone, with a person, and watched."""

from __future__ import annotations

import shutil

import pytest
from safetensors import safe_open
from safetensors.torch import save_file
from webui_board import Board, expect, until
from webui_page import NEEDS_BROWSER, Page
from webui_runs import NEEDS_SCORER, Run
from webui_server import BUNDLED, WebUI

pytestmark = [*NEEDS_SCORER, NEEDS_BROWSER]


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
