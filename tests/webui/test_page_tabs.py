"""The tab "HPS", the settings and Extras in a real browser."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image
from slow_hub import WHOLE
from webui_page import NEEDS_BROWSER, Page, sync_api
from webui_runs import NEEDS_SCORER, Run, my_scores
from webui_server import WebUI

from lib_hps.infotext import read_generation

pytestmark = [*NEEDS_SCORER, NEEDS_BROWSER]


@pytest.fixture(scope="module")
def folder(webui: WebUI, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six generated pictures with their infotexts, and one without."""
    folder = tmp_path_factory.mktemp("folder")
    for i, file in enumerate(Run(webui, save_images=True, prompt="__colour__ heart").files):
        (folder / f"{i}.png").write_bytes(file.read_bytes())
    (folder / "broken.png").write_bytes(b"no picture")
    return folder


def captions(page: Page) -> list[str]:
    return page.raw.locator("#hps_tab_gallery .caption-label").all_inner_texts()


def test_a_folder_is_shown_best_first_and_filtered(page: Page, folder: Path) -> None:
    page.tab("HPS")
    page.text("#hps_tab_folder", str(folder))
    page.choose("#hps_tab_scorer", "tiny-hps")
    page.raw.locator("#hps_tab_score").click()
    line = page.raw.locator("#hps_tab_line").first
    sync_api.expect(line).to_contain_text("6 of 6 scored pictures. 1 left out", timeout=120_000)
    page.raw.wait_for_timeout(1000)
    page.shot("tab")
    files = [folder / f"{i}.png" for i in range(6)]
    prompts = [read_generation(file).prompt for file in files]  # type: ignore[union-attr]
    scores = my_scores([Image.open(file) for file in files], prompts)
    ordered = sorted(zip(scores, files, strict=True), key=lambda pair: -pair[0])
    assert [text.split()[1] for text in captions(page)] == [file.name for _, file in ordered]
    assert [float(text.split()[0]) for text in captions(page)] == pytest.approx([s for s, _ in ordered], abs=2e-4)
    shown = page.raw.locator("#hps_tab_gallery img").first
    assert shown.evaluate("image => image.naturalWidth") == 64  # the picture itself was served
    page.text("#hps_tab_words", "blue")
    sync_api.expect(line).to_contain_text(re.compile(r"^\s*\d of 6 scored pictures"), timeout=60_000)
    blue = [file.name for _, file in ordered if "blue" in prompts[files.index(file)]]
    page.raw.wait_for_timeout(2000)
    assert [text.split()[1] for text in captions(page)] == blue
    page.text("#hps_tab_words", "")
    page.text("#hps_tab_least", f"{ordered[2][0] - 1e-4:.6f}")
    sync_api.expect(line).to_contain_text("3 of 6", timeout=60_000)
    page.text("#hps_tab_least", "")
    page.number("#hps_tab_most", 2)
    sync_api.expect(line).to_contain_text("2 of 6", timeout=60_000)
    page.raw.locator("#hps_tab_unload").click()
    sync_api.expect(line).to_contain_text("The scorer was unloaded", timeout=60_000)


def test_stop_ends_the_scoring_of_a_folder_and_keeps_what_there_is(
    page: Page, folder: Path, slow_scorer: Path, tmp_path: Path
) -> None:
    picture = (folder / "0.png").read_bytes()
    for i in range(320):
        (tmp_path / f"{i:03}.png").write_bytes(picture)
    page.tab("HPS")
    page.text("#hps_tab_folder", str(tmp_path))
    page.choose("#hps_tab_scorer", WHOLE)
    page.raw.locator("#hps_tab_score").click()
    line = page.raw.locator("#hps_tab_line").first
    sync_api.expect(line).to_contain_text(re.compile(r"\d+ of 320 pictures looked at"), timeout=240_000)
    page.raw.locator("#hps_tab_stop").click()
    page.raw.wait_for_timeout(8000)
    stopped = line.inner_text()
    page.shot("tab-stopped")
    page.raw.wait_for_timeout(8000)
    assert line.inner_text() == stopped
    assert re.search(r"^(\d+) of 320 pictures looked at", stopped)
    shown = int(re.search(r"(\d+) of \d+ scored", stopped)[1])  # type: ignore[index]
    assert 0 < shown < 320
    assert len(captions(page)) == min(200, shown)
    page.text("#hps_tab_folder", str(folder))  # and it can be started again
    page.choose("#hps_tab_scorer", "tiny-hps")
    page.raw.locator("#hps_tab_score").click()
    sync_api.expect(line).to_contain_text("6 of 6 scored pictures. 1 left out", timeout=120_000)


def test_a_folder_that_is_not_there_is_named(page: Page) -> None:
    page.tab("HPS")
    page.text("#hps_tab_folder", "/no/such/folder")
    page.raw.locator("#hps_tab_score").click()
    page.raw.locator("#hps_tab_line").get_by_text("There is no folder '/no/such/folder'").first.wait_for()


def test_extras_scores_a_folder(page: Page, folder: Path, webui: WebUI) -> None:
    before = set(webui.data.rglob("extras-images/**/*.png"))
    page.tab("Extras")
    page.raw.locator("#mode_extras").get_by_role("button", name="Batch from Directory").click()
    page.text("#extras_batch_input_dir", str(folder))
    page.raw.locator("#extras_hps .label-wrap").click()
    page.raw.locator("#extras_hps_enable input").check()
    page.choose("#extras_hps_scorer", "tiny-hps")
    page.shot("extras")
    page.raw.locator("#extras_generate").click()
    page.raw.locator("#extras_interrupt").wait_for(state="visible")
    page.raw.locator("#extras_interrupt").wait_for(state="hidden")
    page.raw.wait_for_timeout(1000)
    written = set(webui.data.rglob("extras-images/**/*.png")) - before
    assert len(written) == 6
    for file in written:
        image = Image.open(file)
        said = float(re.search(r"HPS: (-?[\d.]+)", image.info["extras"])[1])  # type: ignore[index]
        prompt = read_generation(file).prompt  # type: ignore[union-attr]
        assert said == pytest.approx(my_scores([image], prompt)[0], abs=2e-4)


def test_settings_are_kept(page: Page, webui: WebUI) -> None:
    page.tab("Settings")
    page.raw.locator("#settings > .tab-nav").get_by_role("button", name="HPS", exact=True).click()
    page.raw.locator("#setting_hps_score_every_image input").wait_for()
    page.shot("settings")
    page.raw.locator("#setting_hps_score_every_image input").check()
    page.raw.locator("#settings_submit").click()
    page.raw.get_by_text("settings changed").first.wait_for()
    assert webui.get("/sdapi/v1/options")["hps_score_every_image"] is True
    run = Run(webui, n_iter=1)
    assert run.settings("HPS scorer") == ["tiny-hps"] * 2
    webui.post("/sdapi/v1/options", {"hps_score_every_image": False})
