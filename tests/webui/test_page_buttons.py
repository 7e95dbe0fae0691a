"""Skip and Interrupt as they are clicked in a real browser: nothing that was drawn is lost."""

from __future__ import annotations

import pytest
from slow_hub import WHOLE
from webui_page import NEEDS_BROWSER, Page
from webui_runs import NEEDS_SCORER, saved_files
from webui_server import WebUI

pytestmark = [*NEEDS_SCORER, NEEDS_BROWSER]


def wait_for_progress(page: Page, text: str) -> None:
    page.raw.locator("#txt2img_results .progress").get_by_text(text).first.wait_for()


def test_a_batch_that_was_skipped_is_shown_last_and_not_saved(webui: WebUI, page: Page) -> None:
    before = saved_files(webui)
    page.fill(count=3, size=1, steps=60, seed=80)
    page.choose_script()
    page.start()
    page.raw.wait_for_timeout(500)
    page.raw.locator("#txt2img_skip").click()
    page.wait_for_result()
    shown = page.generations
    page.shot("skipped")
    assert len(shown) == 3
    assert ["HPS" in one.settings for one in shown] == [True, True, False]
    assert [one.settings.get("HPS rank") for one in shown] == ["1/2", "2/2", None]
    assert len(saved_files(webui) - before) == 2


@pytest.mark.usefixtures("slow_scorer")
def test_interrupt_while_it_judges_keeps_the_scores_so_far_and_every_picture(webui: WebUI, page: Page) -> None:
    before = saved_files(webui)
    page.fill(count=8, size=8, steps=2, seed=90)
    page.choose_script(scorer=WHOLE)
    page.start()
    wait_for_progress(page, "Scoring picture")
    page.raw.locator("#txt2img_interrupt").click()
    page.wait_for_result()
    page.shot("interrupted-judging")
    shown = page.generations
    assert sorted(int(one.settings["Seed"]) for one in shown) == list(range(90, 154))
    judged = [one for one in shown if "HPS" in one.settings]
    assert 0 < len(judged) < 64
    assert len(judged) % 8 == 0
    assert shown[: len(judged)] == judged  # the others come last
    assert [one.settings["HPS rank"] for one in judged] == [f"{i}/{len(judged)}" for i in range(1, len(judged) + 1)]
    assert len(saved_files(webui) - before) == 64
