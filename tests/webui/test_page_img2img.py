"""img2img in a real browser: one picture from a file, and its Batch over a folder, each picture's results sorted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from webui_page import NEEDS_BROWSER, Page, opened
from webui_runs import NEEDS_SCORER, my_scores, saved_files
from webui_server import WebUI

from lib_hps.infotext import read_generation

pytestmark = [*NEEDS_SCORER, NEEDS_BROWSER]


@pytest.fixture
def page(webui: WebUI) -> Iterator[Page]:
    with opened(webui.url) as page:
        page.form = "img2img"
        page.tab("img2img")
        yield page
        assert page.errors == []


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sources")
    for name in ("orange", "navy"):
        Image.new("RGB", (64, 64), name).save(folder / f"{name}.png")
    return folder


def check_files(files: list[Path]) -> list[float]:
    """Scores in the files' infotexts, which must be the scorer's."""
    said = [read_generation(file) for file in files]
    scores = [float(one.settings["HPS"]) for one in said if one is not None]
    pictures = [Image.open(file) for file in files]
    assert scores == pytest.approx(my_scores(pictures, [one.prompt for one in said if one is not None]), abs=2e-4)
    return scores


def test_one_picture_is_drawn_over_and_the_results_are_sorted(webui: WebUI, page: Page, sources: Path) -> None:
    before = saved_files(webui)
    page.raw.locator("#img2img_image input[type=file]").set_input_files(sources / "orange.png")
    page.fill(count=2, size=2, seed=120)
    page.choose_script(keep=3)
    page.shot("img2img-form")
    page.start()
    page.wait_for_result()
    assert [one.settings["HPS rank"] for one in page.generations] == ["1/4", "2/4", "3/4"]
    files = sorted(saved_files(webui) - before)
    assert len(files) == 3
    check_files(files)


def test_a_batch_keeps_the_best_of_every_picture_in_the_folder(
    webui: WebUI, page: Page, sources: Path, tmp_path: Path
) -> None:
    before = saved_files(webui)
    page.raw.locator("#mode_img2img").get_by_role("button", name="Batch", exact=True).click()
    page.raw.locator("#img2img_batch_source").get_by_role("button", name="From directory").click()
    page.text("#img2img_batch_input_dir", str(sources))
    page.text("#img2img_batch_output_dir", str(tmp_path))
    page.fill(count=2, size=2, seed=130)
    page.choose_script(keep=2)
    page.start()
    page.wait_for_result()
    page.shot("img2img-batch")
    infotexts = [one for one in page.generations if "HPS rank" in one.settings]
    ranks = [one.settings["HPS rank"] for one in infotexts]
    assert [rank for rank in ranks if rank != ranks[0]] == ["2/4"] * 2
    files = sorted(tmp_path.glob("*.png"))
    assert sorted(file.stem.split("-")[1] for file in files) == ["navy"] * 2 + ["orange"] * 2, files
    check_files(files)
    assert saved_files(webui) == before  # all went to the folder that was asked for
