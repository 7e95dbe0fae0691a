"""The script "HPS" in a real WebUI, through its API: order, infotexts and files agree, and nothing gets lost."""

from __future__ import annotations

import base64
import io
import json
import urllib.error
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from webui_server import BUNDLED, WebUI

from lib_hps.hosts.webui.options import SAVE_ALL, SAVE_APART, SAVE_NONE
from lib_hps.infotext import parse_infotext, read_generation
from lib_hps.scoring import load_scorer

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        not (BUNDLED / "tiny-hps" / "model.safetensors").is_file(), reason="the bundled tiny-hps is not here"
    ),
]
PROMPT = "red heart, noto style"
REQUEST = {
    "prompt": PROMPT, "steps": 4, "width": 64, "height": 64, "cfg_scale": 5, "seed": 10, "n_iter": 3, "batch_size": 2,
    "sampler_name": "DDIM",
}  # fmt: skip
PLAIN = {"scorer": "tiny-hps", "candidates": 0, "keep": 0, "minimum_kind": "None", "minimum": 0, "rest": SAVE_NONE}
PLAIN |= {"stops_early": False, "hires_for_kept": False}


class Run:
    """One request and what came of it."""

    def __init__(self, webui: WebUI, *, options: dict[str, Any] | None = None, **more: Any) -> None:
        before = saved_files(webui)
        body = {**REQUEST, **more}
        if options is not None:
            body |= {"script_name": "HPS", "script_args": list({**PLAIN, **options}.values())}
        answer = webui.post("/sdapi/v1/txt2img", body)
        self.images = [Image.open(io.BytesIO(base64.b64decode(image))) for image in answer["images"]]
        self.info = json.loads(answer["info"])
        self.first = self.info["index_of_first_image"]
        self.generations = [parse_infotext(text) for text in self.info["infotexts"][self.first :]]
        self.files = sorted(saved_files(webui) - before)

    @property
    def scores(self) -> list[float]:
        return [float(generation.settings["HPS"]) for generation in self.generations]

    @property
    def seeds(self) -> list[int]:
        return [int(generation.settings["Seed"]) for generation in self.generations]

    @property
    def message(self) -> str:
        return self.info["extra_generation_params"]["HPS message"]


def saved_files(webui: WebUI) -> set[Path]:
    return {f for f in webui.data.rglob("*.png") if "grids" not in str(f) and "output" in str(f)}


def pixels(image: Image.Image) -> bytes:
    return image.convert("RGB").tobytes()


def test_all_batches_are_sorted_and_all_that_is_said_agrees(webui: WebUI) -> None:
    plain = Run(webui)
    by_seed = dict(zip(plain.seeds, map(pixels, plain.images[plain.first :]), strict=True))
    run = Run(webui, options={}, save_images=True)
    assert len(run.generations) == 6
    assert run.scores == sorted(run.scores, reverse=True)
    assert sorted(run.seeds) == list(range(10, 16))
    assert run.info["all_seeds"] == run.seeds
    shown = run.images[run.first :]
    assert [by_seed[seed] for seed in run.seeds] == [pixels(image) for image in shown]
    mine = load_scorer("tiny-hps", device="cpu").score([image.convert("RGB") for image in shown], PROMPT)
    assert run.scores == pytest.approx(mine.tolist(), abs=2e-4)
    assert [g.settings["HPS rank"] for g in run.generations] == [f"{i}/6" for i in range(1, 7)]
    assert {g.settings["HPS scorer"] for g in run.generations} == {"tiny-hps"}
    assert {g.settings["Script"] for g in run.generations} == {"HPS"}
    in_files = {read_generation(file).settings["Seed"]: pixels(Image.open(file)) for file in run.files}  # type: ignore[union-attr]
    assert in_files == {str(seed): by_seed[seed] for seed in run.seeds}
    assert [image.info["parameters"] for image in shown] == run.info["infotexts"][run.first :]


@pytest.mark.parametrize(("rest", "saved", "apart"), [(SAVE_NONE, 2, 0), (SAVE_ALL, 6, 0), (SAVE_APART, 6, 4)])
def test_the_best_are_kept_and_the_rest_goes_where_asked(webui: WebUI, rest: str, saved: int, apart: int) -> None:
    run = Run(webui, options={"keep": 2, "rest": rest}, save_images=True)
    assert [g.settings["HPS rank"] for g in run.generations] == ["1/6", "2/6"]
    assert len(run.files) == saved
    assert sum("hps-rejected" in str(file) for file in run.files) == apart


def test_nothing_is_saved_unless_the_request_says_so(webui: WebUI) -> None:
    assert Run(webui, options={"rest": SAVE_ALL}).files == []


def test_more_candidates_than_asked_for_until_enough_pass(webui: WebUI) -> None:
    run = Run(webui, options={"candidates": 8, "keep": 1}, n_iter=1)
    assert run.generations[0].settings["HPS rank"] == "1/8"
    early = Run(
        webui,
        options={"candidates": 8, "keep": 1, "minimum_kind": "Score", "minimum": -9, "stops_early": True},
        n_iter=1,
    )
    assert early.generations[0].settings["HPS rank"] == "1/2"
    all_rounds = Run(
        webui,
        options={"candidates": 8, "keep": 0, "minimum_kind": "Score", "minimum": 9, "stops_early": True},
        n_iter=1,
    )
    assert all_rounds.generations == []
    assert "none of 8 pictures reached 9.0000" in all_rounds.message


def test_hires_fix_draws_the_kept_only(webui: WebUI) -> None:
    hires = {"enable_hr": True, "hr_scale": 2, "denoising_strength": 0.5, "hr_upscaler": "Latent"}
    run = Run(webui, options={"keep": 1, "hires_for_kept": True}, **hires)
    assert run.images[-1].size == (128, 128)
    assert run.generations[0].settings["Hires upscale"] in ("2", "2.0")
    again = Run(webui, seed=run.seeds[0], n_iter=1, batch_size=1, **hires)
    assert pixels(again.images[-1]) == pixels(run.images[-1])


def test_a_failing_scorer_loses_no_picture(webui: WebUI) -> None:
    run = Run(webui, options={"scorer": "hps-v1", "keep": 1, "minimum_kind": "Score", "minimum": 9}, save_images=True)
    assert run.seeds == list(range(10, 16))
    assert len(run.files) == 6
    assert "hpc.pt" in run.message


def test_every_image_is_scored_beside_any_script(webui: WebUI) -> None:
    run = Run(webui, alwayson_scripts={"HPS score": {"args": [True, "tiny-hps"]}}, save_images=True)
    shown = [image.convert("RGB") for image in run.images[run.first :]]
    mine = load_scorer("tiny-hps", device="cpu").score(shown, PROMPT)
    assert run.scores == pytest.approx(mine.tolist(), abs=2e-4)
    assert run.seeds == list(range(10, 16))
    assert all("HPS" in read_generation(file).settings for file in run.files)  # type: ignore[union-attr]
    grid = parse_infotext(run.info["infotexts"][0])
    assert run.first == 0 or "HPS" not in grid.settings


def test_api_scores_what_is_sent(webui: WebUI) -> None:
    image = Image.new("RGB", (64, 64), "red")
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    text = base64.b64encode(buffer.getvalue()).decode()
    answer = webui.post("/hps/v1/score", {"images": [text, text], "prompt": PROMPT, "scorer": "tiny-hps"})
    mine = load_scorer("tiny-hps", device="cpu").score([image, image], PROMPT)
    assert answer["scores"] == pytest.approx(mine.tolist(), abs=1e-4)
    assert "tiny-hps" in {one["name"] for one in webui.get("/hps/v1/scorers")}
    assert [a["name"] for a in webui.get("/hps/v1/schema")["script_args"]] == list(PLAIN)
    assert webui.post("/hps/v1/unload", {}) == {"was_loaded": True}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"images": []}, 422),
        ({"images": ["bm8="]}, 422),
        ({"images": ["bm8="] * 65}, 413),
        ({"images": ["bm8="], "scorer": "/etc/passwd"}, 422),
    ],
)
def test_api_refuses_what_it_cannot_use(webui: WebUI, body: dict, status: int) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        webui.post("/hps/v1/score", {"prompt": PROMPT, "scorer": "tiny-hps", **body})
    assert refused.value.code == status
