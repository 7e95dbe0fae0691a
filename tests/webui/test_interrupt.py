"""Interrupt and Skip at any moment: what was finished is judged, sorted and saved; the rest is shown."""

from __future__ import annotations

import threading
import time

import pytest
from test_rerank_script import Run, pytestmark  # noqa: F401 - the same conditions
from webui_server import WebUI


def press_while_running(webui: WebUI, button: str, *, after_progress: float) -> threading.Thread:
    def wait_and_press() -> None:
        deadline = time.monotonic() + 200
        while time.monotonic() < deadline:
            if webui.get("/sdapi/v1/progress?skip_current_image=true")["progress"] > after_progress:
                webui.post(f"/sdapi/v1/{button}", {})
                return
            time.sleep(0.02)

    thread = threading.Thread(target=wait_and_press)
    thread.start()
    return thread


@pytest.mark.parametrize("stops_early", [False, True])
def test_interrupt_keeps_what_was_finished(webui: WebUI, stops_early: bool) -> None:
    presser = press_while_running(webui, "interrupt", after_progress=0.3)
    options = {"minimum_kind": "Score", "minimum": -9 if not stops_early else 9, "stops_early": stops_early}
    run = Run(webui, options={**options, "rest": "Save as well"}, n_iter=6, steps=8, save_images=True)
    presser.join()
    assert len(run.files) % 2 == 0
    assert 2 <= len(run.files) < 12
    if not stops_early:
        judged = [g for g in run.generations if "HPS" in g.settings]
        assert len(judged) == len(run.files)
        assert [g.settings["HPS rank"] for g in judged] == [f"{i}/{len(judged)}" for i in range(1, len(judged) + 1)]


def test_a_skipped_batch_is_shown_last_and_not_judged(webui: WebUI) -> None:
    presser = press_while_running(webui, "skip", after_progress=0.05)
    run = Run(webui, options={}, n_iter=3, steps=8, save_images=True)
    presser.join()
    assert len(run.generations) == 6
    assert ["HPS" in g.settings for g in run.generations] == [True] * 4 + [False] * 2
    assert len(run.files) == 4
