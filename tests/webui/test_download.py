"""Weights that the WebUI fetches at first use: seen on the page, whole although the connection broke, or refused."""

from __future__ import annotations

import re

import pytest
from slow_hub import DAMAGED, WHOLE, WHOLE_FILE, whole_weights
from webui_page import NEEDS_BROWSER, opened
from webui_runs import NEEDS_SCORER, PROMPT, Run
from webui_server import WebUI

from lib_hps.scoring import load_scorer

pytestmark = NEEDS_SCORER


@NEEDS_BROWSER
def test_a_download_is_seen_on_the_page_goes_on_where_it_broke_and_its_scorer_sorts(webui: WebUI) -> None:
    file = webui.data / "models" / "HPS" / WHOLE_FILE
    file.unlink(missing_ok=True)
    expected = whole_weights()
    seen: list[int] = []
    with opened(webui.url) as page:
        page.fill(count=2, size=2, seed=70)
        page.choose_script(scorer=WHOLE)
        page.start()
        bar = page.raw.locator("#txt2img_results .progress").first
        while page.raw.locator("#txt2img_interrupt").is_visible():
            text = (bar.text_content(timeout=1000) or "") if bar.count() else ""
            found = re.search(rf"Downloading {WHOLE}: (\d+) %", text)
            if found and seen[-1:] != [int(found[1])]:
                seen.append(int(found[1]))
                page.shot("download")
            page.raw.wait_for_timeout(200)
        page.wait_for_result()
        shown = page.generations
        assert page.errors == []
    assert len(seen) >= 3
    assert seen == sorted(seen)
    assert max(seen) > 50  # behind the break
    assert file.read_bytes() == expected
    assert not (file.parent / ".downloads").exists()
    assert [one.settings["HPS rank"] for one in shown] == ["1/4", "2/4", "3/4", "4/4"]
    assert {one.settings["HPS scorer"] for one in shown} == {WHOLE}


def test_what_it_says_is_what_the_fetched_weights_say(webui: WebUI) -> None:
    run = Run(webui, options={"scorer": WHOLE}, n_iter=1)
    scorer = load_scorer(str(webui.data / "models" / "HPS" / WHOLE_FILE), device="cpu", dtype="fp32")
    mine = scorer.score([image.convert("RGB") for image in run.shown], PROMPT)
    assert run.scores == pytest.approx(mine.tolist(), abs=2e-4)


def test_a_damaged_download_is_thrown_away_and_the_pictures_come_unsorted(webui: WebUI) -> None:
    run = Run(webui, options={"scorer": DAMAGED, "keep": 1}, n_iter=1, save_images=True)
    assert run.seeds == [10, 11]
    assert len(run.files) == 2
    assert "damaged on the way or replaced at the source; the file was removed" in run.message
    folder = webui.data / "models" / "HPS"
    assert not [f for f in folder.rglob("*ViT-B-16*") if f.suffix != ".lock"]
