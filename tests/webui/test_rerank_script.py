"""The script "HPS" in a real WebUI, through its API: order, infotexts and files agree, and nothing gets lost."""

from __future__ import annotations

import shutil

import pytest
from PIL import Image
from webui_runs import NEEDS_SCORER, Run, check_scores, my_scores, pixels
from webui_server import BUNDLED, WebUI

from lib_hps.hosts.webui.options import SAVE_ALL, SAVE_APART, SAVE_NONE
from lib_hps.infotext import parse_infotext, read_generation

pytestmark = NEEDS_SCORER


def test_all_batches_are_sorted_and_all_that_is_said_agrees(webui: WebUI) -> None:
    plain = Run(webui)
    by_seed = dict(zip(plain.seeds, map(pixels, plain.shown), strict=True))
    run = Run(webui, options={}, save_images=True)
    assert len(run.generations) == 6
    assert run.scores == sorted(run.scores, reverse=True)
    assert sorted(run.seeds) == list(range(10, 16))
    assert run.info["all_seeds"] == run.seeds
    assert [by_seed[seed] for seed in run.seeds] == [pixels(image) for image in run.shown]
    check_scores(run)
    assert run.settings("HPS rank") == [f"{i}/6" for i in range(1, 7)]
    assert set(run.settings("HPS scorer")) == {"tiny-hps"}
    assert set(run.settings("Script")) == {"HPS"}
    in_files = {read_generation(file).settings["Seed"]: pixels(Image.open(file)) for file in run.files}  # type: ignore[union-attr]
    assert in_files == {str(seed): by_seed[seed] for seed in run.seeds}
    assert [image.info["parameters"] for image in run.shown] == run.infotexts


@pytest.mark.parametrize(("rest", "saved", "apart"), [(SAVE_NONE, 2, 0), (SAVE_ALL, 6, 0), (SAVE_APART, 6, 4)])
def test_the_best_are_kept_and_the_rest_goes_where_asked(webui: WebUI, rest: str, saved: int, apart: int) -> None:
    run = Run(webui, options={"keep": 2, "rest": rest}, save_images=True)
    assert run.settings("HPS rank") == ["1/6", "2/6"]
    assert len(run.files) == saved
    assert sum("hps-rejected" in str(file) for file in run.files) == apart


def test_a_percentile_keeps_the_better_half(webui: WebUI) -> None:
    run = Run(webui, options={"minimum_kind": "Percentile", "minimum": 50})
    assert run.settings("HPS rank") == ["1/6", "2/6", "3/6"]


def test_nothing_is_saved_unless_the_request_says_so(webui: WebUI) -> None:
    assert Run(webui, options={"rest": SAVE_ALL}).files == []


def test_more_candidates_than_asked_for_until_enough_pass(webui: WebUI) -> None:
    run = Run(webui, options={"candidates": 8, "keep": 1}, n_iter=1)
    assert run.generations[0].settings["HPS rank"] == "1/8"
    passing = {"candidates": 8, "minimum_kind": "Score", "stops_early": True}
    early = Run(webui, options={**passing, "keep": 1, "minimum": -9}, n_iter=1)
    assert early.generations[0].settings["HPS rank"] == "1/2"
    all_rounds = Run(webui, options={**passing, "minimum": 9}, n_iter=1)
    assert all_rounds.generations == []
    assert "none of 8 pictures reached 9.0000" in all_rounds.message


def test_hires_fix_draws_the_kept_only(webui: WebUI) -> None:
    hires = {"enable_hr": True, "hr_scale": 2, "denoising_strength": 0.5, "hr_upscaler": "Latent"}
    run = Run(webui, options={"keep": 1, "hires_for_kept": True}, **hires)
    assert run.images[-1].size == (128, 128)
    assert run.generations[0].settings["Hires upscale"] in ("2", "2.0")
    again = Run(webui, seed=run.seeds[0], n_iter=1, batch_size=1, **hires)
    assert pixels(again.images[-1]) == pixels(run.images[-1])


def test_a_refined_picture_is_judged_as_it_came_out(webui: WebUI) -> None:
    refined = {"refiner_checkpoint": "tiny-sd_refiner.safetensors", "refiner_switch_at": 0.5, "n_iter": 1}
    run = Run(webui, options={}, **refined)
    assert set(run.settings("Refiner switch at")) == {"0.5"}
    check_scores(run)


def test_a_trained_classifier_in_the_weights_folder_is_chosen_by_its_name(webui: WebUI) -> None:
    folder = webui.data / "models" / "HPS"
    folder.mkdir(parents=True, exist_ok=True)
    for name, source in (("mine.safetensors", "model.safetensors"), ("merges.txt.gz", "merges.txt.gz")):
        shutil.copy(BUNDLED / "tiny-holdout" / source, folder / name)
    run = Run(webui, options={"scorer": "mine"}, n_iter=1)
    assert set(run.settings("HPS scorer")) == {"mine"}
    check_scores(run, scorer="tiny-holdout")


def test_an_ensemble_judges_the_pictures_of_all_batches_among_each_other(webui: WebUI) -> None:
    name = "ensemble:tiny-hps=1,tiny-holdout=1"
    run = Run(webui, options={"scorer": name})
    assert set(run.settings("HPS scorer")) == {name}
    assert run.scores == sorted(run.scores, reverse=True)
    assert run.scores == pytest.approx(my_scores(run.shown, scorer=name), abs=2e-3)


def test_a_failing_scorer_loses_no_picture(webui: WebUI) -> None:
    run = Run(webui, options={"scorer": "hps-v1", "keep": 1, "minimum_kind": "Score", "minimum": 9}, save_images=True)
    assert run.seeds == list(range(10, 16))
    assert len(run.files) == 6
    assert "hpc.pt" in run.message


def test_a_wrong_weight_file_loses_no_picture(webui: WebUI) -> None:
    folder = webui.data / "models" / "HPS"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "broken.safetensors").write_bytes(b"not weights at all")
    run = Run(webui, options={"scorer": "broken.safetensors"}, n_iter=1)
    assert run.seeds == [10, 11]
    assert "broken.safetensors" in run.message


def test_a_failing_generation_keeps_the_batches_that_were_finished(webui: WebUI) -> None:
    prompt = "red heart, explode at 3"
    plain = Run(webui, n_iter=2)
    run = Run(webui, options={}, prompt=prompt, save_images=True)
    assert sorted(run.seeds) == [10, 11, 12, 13]
    assert run.settings("HPS rank") == [f"{i}/4" for i in range(1, 5)]
    assert len(run.files) == len(plain.generations)
    assert "the third batch always fails" in run.message
    check_scores(run)


def test_every_image_is_scored_beside_any_script(webui: WebUI) -> None:
    run = Run(webui, alwayson_scripts={"HPS score": {"args": [True, "tiny-hps"]}}, save_images=True)
    check_scores(run)
    assert run.seeds == list(range(10, 16))
    assert all("HPS" in read_generation(file).settings for file in run.files)  # type: ignore[union-attr]
    grid = parse_infotext(run.info["infotexts"][0])
    assert run.first == 0 or "HPS" not in grid.settings


def test_the_setting_scores_every_image(webui: WebUI) -> None:
    run = Run(webui, override_settings={"hps_score_every_image": True, "hps_scorer": "tiny-holdout"}, n_iter=1)
    assert run.settings("HPS scorer") == ["tiny-holdout"] * 2
    check_scores(run, scorer="tiny-holdout")


@pytest.mark.parametrize("way", ["rerank", "every image"])
def test_the_picture_is_judged_after_other_extensions_changed_it(webui: WebUI, way: str) -> None:
    prompt = "red heart, inverted, mirrored, with a map"
    plain = Run(webui, n_iter=2)
    asked = {"options": {}} if way == "rerank" else {"alwayson_scripts": {"HPS score": {"args": [True, "tiny-hps"]}}}
    run = Run(webui, prompt=prompt, n_iter=2, **asked)
    assert pixels(run.shown[0]) not in [pixels(image) for image in plain.shown]
    scores = my_scores(run.shown[:4], prompt)
    assert [float(text) for text in run.settings("HPS")[:4]] == pytest.approx(scores, abs=2e-4)
    assert run.shown[4].convert("RGB").getpixel((0, 0)) == (128, 128, 128)
    assert len(run.shown) == 5


def test_each_picture_is_judged_by_its_own_prompt(webui: WebUI) -> None:
    run = Run(webui, prompt="__colour__ heart", options={})
    assert {generation.prompt for generation in run.generations} == {
        f"{c} heart" for c in ("red", "blue", "green", "yellow")
    }
    assert run.scores == sorted(run.scores, reverse=True)
    check_scores(run)


def test_styles_belong_to_the_prompt_that_is_judged(webui: WebUI) -> None:
    run = Run(webui, prompt="red heart", styles=["Noto"], options={}, n_iter=1)
    assert {generation.prompt for generation in run.generations} == {"red heart, noto style"}
    check_scores(run)


def test_settings_of_the_request_count_for_saving(webui: WebUI) -> None:
    named = {"samples_filename_pattern": "[seed]-[hps_rank]-[hps_score]", "save_images_add_number": False}
    named |= {"samples_format": "jpg", "return_grid": False}
    run = Run(webui, options={}, n_iter=1, save_images=True, override_settings=named)
    assert run.first == 0
    names = [f"{g.settings['Seed']}-{rank}-{g.settings['HPS']}.jpg" for rank, g in enumerate(run.generations, 1)]
    assert sorted(file.name for file in run.files) == sorted(names)
    assert webui.get("/sdapi/v1/options")["samples_format"] == "png"


def test_file_names_can_hold_the_score_and_the_gallery_shows_it(webui: WebUI) -> None:
    plain = Run(webui, options={}, n_iter=1)
    drawn = {"hps_file_suffix": True, "hps_draw_score": True}
    run = Run(webui, options={}, n_iter=1, save_images=True, override_settings=drawn)
    assert all(f"-hps{score:.4f}" in " ".join(map(str, run.files)) for score in run.scores)
    assert [pixels(image) for image in run.shown] != [pixels(image) for image in plain.shown]
    saved = {pixels(Image.open(file)) for file in run.files}
    assert saved == {pixels(image) for image in plain.shown}
