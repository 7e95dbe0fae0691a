"""The X/Y/Z plot's own axes: each cell is a rerank by the scorer, and down to the number, of its place."""

from __future__ import annotations

import json
import urllib.error
from typing import Any

import pytest
from webui_runs import NEEDS_SCORER, Run, my_scores, pixels
from webui_server import WebUI

from lib_hps.infotext import Generation, parse_infotext, read_generation

pytestmark = NEEDS_SCORER


def plot(webui: WebUI, *, x: tuple[str, Any], y: tuple[str, Any] | None = None, **more: Any) -> Run:
    """The plot with its cells beside the grid."""
    info = webui.script_info("x/y/z plot")["args"]
    args = [argument.get("value") for argument in info]
    labels = [argument["label"] for argument in info]
    types = info[labels.index("X type")]["choices"]
    for axis, wanted in (("X", x), ("Y", y), ("Z", None)):
        at = labels.index(f"{axis} type")
        label, values = wanted or ("Nothing", "")
        args[at] = types.index(label)
        args[at + (1 if isinstance(values, str) else 2)] = values
    args[labels.index("Include Sub Images")] = True
    return Run(webui, script_name="X/Y/Z plot", script_args=args, **more)


def cells(run: Run) -> list[tuple[Any, Generation]]:
    pictures = zip(run.images, run.info["infotexts"], strict=True)
    return [(image, parse_infotext(text)) for image, text in pictures][1:]


def test_cells_are_judged_by_the_scorer_of_their_column(webui: WebUI) -> None:
    axis = ("[HPS] Scorer", ["tiny-hps", "tiny-holdout"])
    run = plot(webui, x=axis, n_iter=1, batch_size=1, save_images=True)
    (left, said_left), (right, said_right) = cells(run)
    assert [said_left.settings["HPS scorer"], said_right.settings["HPS scorer"]] == axis[1]
    plain = Run(webui, n_iter=1, batch_size=1)
    for said, scorer in ((said_left, "tiny-hps"), (said_right, "tiny-holdout")):
        assert float(said.settings["HPS"]) == pytest.approx(my_scores(plain.shown, scorer=scorer)[0], abs=2e-4)
    assert len({pixels(plain.shown[0]), pixels(left), pixels(right)}) == 3  # the score is drawn on both
    assert len(run.files) == 2
    assert "HPS" not in parse_infotext(run.info["infotexts"][0]).settings  # the grid has none


def test_cells_keep_the_best_of_their_row(webui: WebUI) -> None:
    run = plot(webui, x=("[HPS] Scorer", ["tiny-hps"]), y=("[HPS] Keep the best", "1,2"), n_iter=2, save_images=True)
    (best, said_best), (two, said_two) = cells(run)
    assert best.size == (64, 64)
    assert two.width * two.height == 2 * 64 * 64
    assert said_best.settings["HPS rank"] == "1/4"
    assert said_two.settings["Seed"] == said_best.settings["Seed"]
    assert len(run.files) == 8  # what a cell does not show is saved all the same
    ranks = sorted(read_generation(file).settings["HPS rank"] for file in run.files)  # type: ignore[union-attr]
    assert ranks == sorted([f"{i}/4" for i in range(1, 5)] * 2)


def test_candidates_can_be_an_axis(webui: WebUI) -> None:
    run = plot(webui, x=("[HPS] Candidates", "2,4"), y=("[HPS] Scorer", ["tiny-hps"]), n_iter=1)
    assert [said.settings["HPS rank"] for _, said in cells(run)] == ["1/2", "1/4"]


def test_other_plots_show_the_score_where_every_image_is_scored(webui: WebUI) -> None:
    settings = {"hps_score_every_image": True, "hps_scorer": "tiny-hps"}
    run = plot(webui, x=("Seed", "10,11"), n_iter=1, batch_size=1, override_settings=settings)
    plain = Run(webui, n_iter=1, batch_size=2)
    for (image, said), undrawn in zip(cells(run), plain.shown, strict=True):
        assert float(said.settings["HPS"]) == pytest.approx(my_scores([undrawn])[0], abs=2e-3)
        assert pixels(image) != pixels(undrawn)


def test_rounds_and_optimisers_can_be_axes_and_a_cell_shows_the_winner(webui: WebUI) -> None:
    run = plot(
        webui,
        x=("[HPS] Rounds", "0,2"),
        y=("[HPS] Optimizer", ["default", "best-of-n"]),
        n_iter=1,
        batch_size=3,
        save_images=True,
    )
    shown = cells(run)
    assert [said.settings["HPS round"] for _, said in shown] == ["0", "2"] * 2
    assert [said.settings["HPS optimizer"] for _, said in shown] == ["default"] * 2 + ["best-of-n"] * 2
    (seed, _), (default, said_default), (seed_again, _), (best, _) = shown
    plain = Run(webui, n_iter=1, batch_size=1)
    assert pixels(seed) == pixels(seed_again) == pixels(plain.shown[0])  # without a round the seed's own picture
    scores = [my_scores([picture])[0] for picture in (seed, default, best)]
    assert scores[1] > scores[0]
    assert scores[2] > scores[0]
    assert float(said_default.settings["HPS"]) == pytest.approx(scores[1], abs=2e-3)
    assert len(run.files) == 4  # the winners; candidates of a plot are not saved
    recipe = {"mode": "Recipe", "recipe": said_default.settings["HPS noise"]}
    again = Run(webui, options=recipe, n_iter=1, batch_size=1)
    assert pixels(again.shown[0]) == pixels(default)


def test_a_wrong_optimiser_is_refused_before_the_plot_begins(webui: WebUI) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        plot(webui, x=("[HPS] Optimizer", ["nonsense"]), n_iter=1)
    assert "There is no optimiser 'nonsense'" in json.load(refused.value)["errors"]
