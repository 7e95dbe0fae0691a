"""The X/Y/Z plot with the script's axes in a real browser: chosen from the lists, drawn, the score on every cell."""

from __future__ import annotations

from typing import Any

from webui_page import NEEDS_BROWSER, Page, sync_api
from webui_runs import NEEDS_SCORER

pytestmark = [*NEEDS_SCORER, NEEDS_BROWSER]
PLOT = "#script_txt2img_xyz_plot"


def fill_values(page: Page) -> Any:
    """Press the small button beside the X values: all of them."""
    page.raw.locator("#xyz_grid_fill_x_tool_button:visible").click()
    values = page.raw.locator("#txt2img_script_container .token:visible")
    sync_api.expect(values.filter(has_text="tiny-hps")).to_have_count(1)
    return values


def test_scorers_by_how_many_are_kept(page: Page) -> None:
    page.fill(count=2, size=1, seed=110)
    page.choose("#txt2img_script_container #script_list", "X/Y/Z plot")
    page.choose(f"{PLOT}_x_type", "[HPS] Scorer")
    fill_values(page)
    for token in reversed(page.raw.locator("#txt2img_script_container .token:visible").all()):
        if token.inner_text().split()[0] not in ("tiny-hps", "tiny-holdout"):
            token.locator(".token-remove").click()
    page.choose(f"{PLOT}_y_type", "[HPS] Keep the best")
    page.text(f"{PLOT}_y_values", "1,2")
    page.raw.locator(f"{PLOT}_include_lone_images input").check()
    page.shot("plot-form", of="#txt2img_script_container")
    page.start()
    page.wait_for_result()
    page.shot("plot")
    cells = page.generations[-4:]  # in front of them is the plot
    assert [one.settings["HPS scorer"] for one in cells] == ["tiny-hps", "tiny-holdout"] * 2
    assert {one.settings["HPS rank"] for one in cells} == {"1/2"}
    assert page.raw.locator("#txt2img_gallery .thumbnails .thumbnail-item").count() == 5  # the plot and its cells
