"""The bundled checkpoint in the real WebUI: it loads, and both hosts draw the same picture from the same noise."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image
from webui_server import BUNDLED, WebUI

from lib_hps.diffusion.pipeline import Pipeline, load_pipeline
from lib_hps.diffusion.request import GenerationRequest

pytestmark = pytest.mark.timeout(900)
# (sampler there, schedule there, sampler here): largest difference measured is 1 of 255
SAMPLERS = [
    ("DDIM", "Automatic", "DDIM"),
    ("Euler", "Automatic", "Euler"),
    ("Euler a", "Automatic", "Euler a"),
    ("DPM++ 2M", "Karras", "DPM++ 2M Karras"),
]


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    return load_pipeline(BUNDLED / "tiny-sd" / "tiny-sd.safetensors", device="cpu", dtype="float32")


@pytest.mark.parametrize(("sampler", "schedule", "ours"), SAMPLERS)
def test_webui_and_standalone_draw_the_same_picture(
    webui: WebUI, pipeline: Pipeline, sampler: str, schedule: str, ours: str
) -> None:
    prompt = "red heart, noto style"
    body = {"prompt": prompt, "steps": 20, "width": 64, "height": 64, "cfg_scale": 5, "seed": 3}
    answer = webui.post("/sdapi/v1/txt2img", {**body, "sampler_name": sampler, "scheduler": schedule})
    theirs = Image.open(io.BytesIO(base64.b64decode(answer["images"][0]))).convert("RGB")
    request = GenerationRequest(prompt=prompt, steps=20, sampler=ours, cfg=5, width=64, height=64, seed=3)
    (mine,) = pipeline.generate(request)
    difference = np.abs(np.asarray(theirs, dtype=int) - np.asarray(mine.image, dtype=int))
    assert difference.max() <= 2
    assert np.asarray(theirs).std() > 5  # it is a picture, not a flat field
