"""The script's mode "Rank" in a real WebUI, a whole session through the API: draw, tell, undo, a scorer, the finish."""

from __future__ import annotations

import io
import json
import re
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from webui_runs import NEEDS_SCORER, SMALL, Run, encode, pixels, rank, session_of, state_of, tell
from webui_server import WebUI

from lib_hps.infotext import parse_infotext
from lib_hps.noise import NoiseRecipe

pytestmark = NEEDS_SCORER


def file_of(webui: WebUI, path: str) -> bytes:
    with urllib.request.urlopen(webui.url + path, timeout=60) as response:
        content: bytes = response.read()
    return content


def picture_of(webui: WebUI, path: str) -> Image.Image:
    return Image.open(io.BytesIO(file_of(webui, path)))


def paste(run: Run, place: int = 0) -> dict[str, Any]:
    """What pasting the infotext puts into the script's form."""
    said = run.generations[place].settings
    origin = {key: said[key] for key in ("HPS session", "HPS round", "HPS optimizer")}
    return {"mode": "Recipe", "recipe": said["HPS noise"], "origin": json.dumps(origin)}


def test_three_rounds_undo_and_finish(webui: WebUI) -> None:
    first = rank(webui, save_images=True)
    id = session_of(first)
    assert len(first.files) == 3
    state = state_of(webui, id)
    assert state["status"] == "ready"
    assert [one["recipe"] for one in state["candidates"]] == first.settings("HPS noise")
    in_session = [pixels(picture_of(webui, one["picture"])) for one in state["candidates"]]
    assert in_session == [pixels(image) for image in first.shown]
    assert len(set(in_session)) == 3
    assert set(first.settings("HPS round")) == {"1"}
    assert set(first.settings("HPS session")) == {id}
    tell(webui, id, 2, 1)
    second = rank(webui, id)
    incumbent = first.generations[1].settings["HPS noise"]
    assert incumbent in second.settings("HPS noise")  # drawn by an earlier press, and shown with the others
    tell(webui, id, 1)
    webui.post(f"/hps/v1/sessions/{id}/undo", {})
    assert state_of(webui, id)["round"] == 2
    tell(webui, id, 3, 2)
    rank(webui, id)
    assert state_of(webui, id)["round"] == 3
    winner = tell(webui, id, 1)["best"]["recipe"]
    final = rank(webui, id, {"do": "finish", "width": 128, "height": 128}, save_images=True)
    assert final.settings("HPS noise") == [winner]
    assert final.shown[0].size == (128, 128)
    assert final.generations[0].settings["Denoising strength"] == "0.2"  # a tiny model
    assert state_of(webui, id)["status"] == "finished"
    hires = {"enable_hr": True, "hr_resize_x": 128, "hr_resize_y": 128, "hr_upscaler": "Lanczos"}
    seed = int(final.generations[0].settings["Seed"])
    webui_again = Run(
        webui, options=paste(final), **SMALL, **hires, denoising_strength=0.2, save_images=True, seed=seed
    )
    (made,), (again,) = final.files, webui_again.files
    assert made.read_bytes() == again.read_bytes()


def test_a_recipe_needs_no_session(webui: WebUI) -> None:
    recipe = NoiseRecipe.mix({5: 0.8, 77: -0.6})
    runs = [Run(webui, options={"mode": "Recipe", "recipe": recipe.format()}, seed=3, **SMALL) for _ in range(2)]
    assert pixels(runs[0].shown[0]) == pixels(runs[1].shown[0])
    plain = Run(webui, seed=3, **SMALL)
    assert pixels(plain.shown[0]) != pixels(runs[0].shown[0])


@pytest.mark.parametrize("recipe", ["", "1234*.8", "nonsense"])
def test_a_wrong_recipe_is_an_error_and_no_other_picture(webui: WebUI, recipe: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        Run(webui, options={"mode": "Recipe", "recipe": recipe}, **SMALL)
    assert "recipe" in json.load(refused.value)["errors"]


def test_changed_settings_are_recorded_and_shown(webui: WebUI) -> None:
    id = session_of(rank(webui))
    tell(webui, id, 1)
    again = rank(webui, id, prompt="blue heart, noto style", sampler_name="Euler a")
    state = state_of(webui, id)
    assert "prompt: red heart, noto style -> blue heart, noto style" in state["change"]
    assert "sampler: DDIM -> Euler a" in state["change"]
    assert len(again.shown) == 3
    other = {"override_settings": {"sd_model_checkpoint": "tiny-sd_refiner"}, "width": 96}
    rank(webui, id, prompt="blue heart, noto style", sampler_name="Euler a", **other)
    assert "model: tiny-sd -> tiny-sd_refiner" in state_of(webui, id)["change"]
    assert "width: 64 -> 96" in state_of(webui, id)["change"]
    rank(webui, id, prompt="blue heart, noto style", sampler_name="Euler a")
    text = webui.get(f"/hps/v1/sessions/{id}/form")["infotext"]
    assert text.startswith("blue heart, noto style")
    assert f"HPS session: {id}" in text
    assert "HPS noise" not in text


def test_a_scorer_ranks_alone_and_shows_its_best_to_a_person(webui: WebUI) -> None:
    auto = rank(webui, do={"do": "auto", "rounds": 2, "scorer": "tiny-hps"}, batch_size=2)
    id = session_of(auto)
    state = state_of(webui, id)
    assert [answer["by"] for answer in state["history"]] == ["tiny-hps"] * 2
    assert state["history"][-1]["holdout_by"] == "tiny-holdout"
    assert auto.settings("HPS noise") == [state["best"]["recipe"]]
    assert "All 2 rounds are done" in auto.message
    mixed = rank(webui, id, {"do": "mixed", "draw": 5, "scorer": "tiny-hps"}, batch_size=2)
    assert len(mixed.shown) == 3
    assert state_of(webui, id)["ranking"]


def test_in_img2img_the_winner_is_drawn_over(webui: WebUI) -> None:
    source = encode(Image.new("RGB", (64, 64), "orange"))
    given = {"route": "img2img", "init_images": [source], "denoising_strength": 0.9}
    first = rank(webui, **given)
    id = session_of(first)
    assert "Init image: " in state_of(webui, id)["settings"]["more"]
    assert len({pixels(image) for image in first.shown}) == 3
    tell(webui, id, 1)
    final = rank(webui, id, {"do": "finish", "width": 96, "height": 96}, **given)
    assert final.shown[0].size == (96, 96)


def test_what_cannot_be_is_said(webui: WebUI) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        Run(webui, options={"mode": "Rank", "session": "20200101-000000-aaaaaa"}, **SMALL)
    assert "There is no session" in json.load(refused.value)["errors"]
    id = session_of(rank(webui))
    tell(webui, id, 1)
    with pytest.raises(urllib.error.HTTPError) as refused:
        webui.post(f"/hps/v1/sessions/{id}/draw", {})
    assert refused.value.code == 400
    assert "Generate" in json.load(refused.value)["detail"]


def test_the_documented_client_runs_as_it_stands(webui: WebUI, capsys: pytest.CaptureFixture[str]) -> None:
    text = (Path(__file__).parents[2] / "docs" / "ranking-webui.md").read_text()
    (client,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert "http://127.0.0.1:7860" in client
    exec(compile(client.replace("http://127.0.0.1:7860", webui.url), "client", "exec"), {})
    final = parse_infotext(capsys.readouterr().out.strip())
    assert final.settings["Hires resize"] == "128x128"
    state = state_of(webui, final.settings["HPS session"])
    assert [answer["round"] for answer in state["history"]] == [1, 2, 3]
    assert state["best"]["recipe"] == final.settings["HPS noise"]
