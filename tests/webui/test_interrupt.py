"""Interrupt and Skip at any moment: what was finished is judged, sorted and saved; the rest is shown."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from webui_runs import NEEDS_SCORER, Run, check_scores
from webui_server import WebUI

pytestmark = NEEDS_SCORER
STEPS = 60  # long enough to be caught in the middle


@contextmanager
def pressed(webui: WebUI, button: str, *, when: Callable[[dict[str, Any]], bool]) -> Iterator[None]:
    """Presses a button once the progress is as wanted; fails where that never came."""
    done, over = threading.Event(), threading.Event()

    def wait_and_press() -> None:
        while not over.is_set():
            answer = webui.get("/sdapi/v1/progress?skip_current_image=true")
            now = {**answer["state"], "textinfo": answer["textinfo"] or ""}
            if now["job_count"] > 0 and when(now):  # between jobs the numbers are those of the last one
                webui.post(f"/sdapi/v1/{button}", {})
                done.set()
                return
            time.sleep(0.01)

    thread = threading.Thread(target=wait_and_press)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    assert done.is_set(), "the moment to press never came"


def in_batch(number: int) -> Callable[[dict[str, Any]], bool]:
    return lambda now: now["job_no"] == number - 1 and now["sampling_step"] > 2


@pytest.mark.parametrize("stops_early", [False, True])
def test_interrupt_keeps_what_was_finished(webui: WebUI, stops_early: bool) -> None:
    options = {"minimum_kind": "Score", "minimum": 9 if stops_early else -9, "stops_early": stops_early}
    with pressed(webui, "interrupt", when=in_batch(2)):
        run = Run(webui, options={**options, "rest": "Save as well"}, n_iter=6, steps=STEPS, save_images=True)
    judged = [generation for generation in run.generations if "HPS" in generation.settings]
    assert len(run.files) == 2  # the first batch; the second was cut short
    assert len(judged) == (0 if stops_early else 2)  # none of them reaches 9
    assert [g.settings["HPS rank"] for g in judged] == ["1/2", "2/2"][: len(judged)]
    assert len(run.generations) - len(judged) == 2  # the pictures cut short are shown, last
    run.generations = judged
    check_scores(run)


def test_interrupt_in_the_first_batch_shows_it(webui: WebUI) -> None:
    with pressed(webui, "interrupt", when=in_batch(1)):
        run = Run(webui, options={"keep": 1}, steps=STEPS, save_images=True)
    assert run.seeds == [10, 11]
    assert run.settings("HPS") == [None, None]
    assert run.files == []


def test_a_skipped_batch_is_shown_last_and_not_judged(webui: WebUI) -> None:
    with pressed(webui, "skip", when=in_batch(1)):
        run = Run(webui, options={}, n_iter=3, steps=STEPS, save_images=True)
    assert len(run.generations) == 6
    assert ["HPS" in g.settings for g in run.generations] == [True] * 4 + [False] * 2
    assert run.seeds[4:] == [10, 11]


def test_interrupt_in_the_hires_pass_keeps_the_small_pictures(webui: WebUI) -> None:
    hires = {"enable_hr": True, "hr_scale": 2, "denoising_strength": 1.0, "hr_upscaler": "Latent", "n_iter": 1}
    with pressed(webui, "interrupt", when=lambda now: now["job_no"] >= 2):
        run = Run(webui, options={"keep": 2, "hires_for_kept": True}, steps=STEPS, save_images=True, **hires)
    assert run.settings("HPS rank") == ["1/2", "2/2"]
    assert {image.size for image in run.shown} == {(64, 64)}
    assert len(run.files) == 2


def test_a_download_shows_how_far_it_is_and_interrupt_ends_it(webui: WebUI) -> None:
    with pressed(webui, "interrupt", when=lambda now: now["textinfo"].startswith("Downloading pickscore: ")):
        run = Run(webui, options={"scorer": "pickscore", "keep": 1}, n_iter=1, save_images=True)
    assert run.seeds == [10, 11]
    assert len(run.files) == 2
    assert "The download of pickscore was interrupted; the next one goes on where it stopped." in run.message
    assert list((webui.data / "models" / "HPS" / ".downloads").glob("*.part"))
