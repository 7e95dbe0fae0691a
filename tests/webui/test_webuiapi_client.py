"""The client of the package registry, `webuiapi`, unchanged: script, always-on script, Extras and our own routes."""

from __future__ import annotations

import pytest
from webui_runs import NEEDS_SCORER, PLAIN, PROMPT, my_scores
from webui_server import WebUI

from lib_hps.infotext import parse_infotext

webuiapi = pytest.importorskip("webuiapi", reason="the package webuiapi is not installed")
pytestmark = NEEDS_SCORER
SIZE = {"width": 64, "height": 64, "steps": 4, "seed": 10, "sampler_name": "DDIM", "cfg_scale": 5}


@pytest.fixture(scope="module")
def api(webui: WebUI):
    return webuiapi.WebUIApi(baseurl=f"{webui.url}/sdapi/v1")


def test_the_script_sorts_three_batches_of_two(api) -> None:
    args = list({**PLAIN, "keep": 4}.values())
    result = api.txt2img(prompt=PROMPT, n_iter=3, batch_size=2, script_name="HPS", script_args=args, **SIZE)
    first = result.info["index_of_first_image"]
    shown = [parse_infotext(text) for text in result.info["infotexts"][first:]]
    scores = [float(one.settings["HPS"]) for one in shown]
    assert [one.settings["HPS rank"] for one in shown] == ["1/6", "2/6", "3/6", "4/6"]
    assert scores == sorted(scores, reverse=True)
    assert scores == pytest.approx(my_scores(result.images[first:]), abs=2e-4)


def test_the_always_on_script_gives_the_numbers_alone(api) -> None:
    asked = {"HPS score": {"args": [True, "tiny-hps"]}}
    result = api.txt2img(prompt=PROMPT, batch_size=2, alwayson_scripts=asked, **SIZE)
    first = result.info["index_of_first_image"]
    scores = [float(parse_infotext(text).settings["HPS"]) for text in result.info["infotexts"][first:]]
    assert scores == pytest.approx(my_scores(result.images[first:]), abs=2e-4)
    assert result.info["all_seeds"] == [10, 11]


def test_img2img_and_our_own_route(api) -> None:
    start = api.txt2img(prompt=PROMPT, **SIZE).image
    args = list(PLAIN.values())
    body = {"images": [start], "prompt": PROMPT, "batch_size": 2, "script_name": "HPS", "script_args": args}
    result = api.img2img(**body, **SIZE)
    images = [webuiapi.raw_b64_img(image) for image in result.images[result.info["index_of_first_image"] :]]
    answer = api.custom_post("hps/v1/score", {"images": images, "prompt": PROMPT, "scorer": "tiny-hps"}).json
    assert len(answer["scores"]) == 2
    assert answer["scores"] == sorted(answer["scores"], reverse=True)
