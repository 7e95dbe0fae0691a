"""A LoRA of ours in the real WebUI: what it does to pictures, and that the standalone host agrees."""

from __future__ import annotations

import base64
import hashlib
import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from webui_lora import train
from webui_page import NEEDS_BROWSER, opened, sync_api
from webui_server import BUNDLED, WebUI

for package in ("torch", "accelerate", "diffusers", "peft", "transformers"):
    pytest.importorskip(package)
pytestmark = pytest.mark.timeout(900)
BASE = BUNDLED / "tiny-sd" / "tiny-sd.safetensors"
PROMPT = "red heart, noto style"
REQUEST = {"steps": 8, "width": 64, "height": 64, "cfg_scale": 5, "seed": 3, "sampler_name": "Euler"}


@pytest.fixture(scope="module")
def lora(webui: WebUI, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`<lora:taste:1>`, in the WebUI's own folder, with its card and preview."""
    path = train(BASE, webui.data / "models" / "Lora" / "taste.safetensors", tmp_path_factory.mktemp("taste"))
    webui.post("/sdapi/v1/refresh-loras", {})
    return path


def drawn(webui: WebUI, prompt: str, **changes: object) -> np.ndarray:
    answer = webui.post("/sdapi/v1/txt2img", {**REQUEST, "prompt": prompt, **changes})
    image = Image.open(io.BytesIO(base64.b64decode(answer["images"][0])))
    return np.asarray(image.convert("RGB"), dtype=int)


def test_the_strength_moves_the_picture_and_zero_gives_the_base_picture_byte_for_byte(webui: WebUI, lora: Path) -> None:
    base = drawn(webui, PROMPT)
    assert (drawn(webui, f"{PROMPT}<lora:taste:0>") == base).all()
    far = [np.abs(drawn(webui, f"{PROMPT}<lora:taste:{s}>") - base).mean() for s in (0.2, 0.5, 1)]
    assert 1 < far[0] < far[1] < far[2]
    assert (drawn(webui, PROMPT) == base).all()  # taken off again
    known = {one["name"]: one for one in webui.get("/sdapi/v1/loras")}
    assert known["taste"]["metadata"]["ss_output_name"] == "taste"


@pytest.mark.parametrize("tag", ["<lora:taste:1>", "<lora:taste:0.6>", "<lora:taste:0:1>"])
def test_the_standalone_host_draws_the_same_picture_with_the_same_file(webui: WebUI, lora: Path, tag: str) -> None:
    """Text encoder and UNet alike; at most 2 of 255 levels apart."""
    from lib_hps.diffusion.pipeline import load_pipeline
    from lib_hps.diffusion.request import GenerationRequest

    pipeline = load_pipeline(BASE, "cpu", lora_dir=lora.parent)
    request = GenerationRequest(PROMPT + tag, steps=8, sampler="Euler", cfg=5, width=64, height=64, seed=3)
    mine = np.asarray(next(pipeline.generate(request)).image, dtype=int)
    assert np.abs(mine - drawn(webui, PROMPT + tag)).max() <= 2


@NEEDS_BROWSER
def test_the_card_shows_it_and_a_click_inserts_lora_activation_text_and_negative(webui: WebUI, lora: Path) -> None:
    wanted = drawn(webui, f"{PROMPT} <lora:taste:1> noto style", negative_prompt="(Weird image. :1)")
    with opened(webui.url) as page:
        page.fill(steps=8, count=1, size=1, seed=3, prompt=PROMPT)
        page.choose("#txt2img_sampling", "Euler")
        tabs = page.raw.locator("#txt2img_extra_tabs > .tab-nav > button")
        tabs.filter(has_text="Lora").click()
        card = page.raw.locator("#txt2img_lora_cards .card").filter(has_text="taste")
        card.wait_for()
        sync_api.expect(card.locator(".name")).to_have_text("taste")
        sync_api.expect(card.locator(".description")).to_contain_text("Adapted to preference")
        preview = card.locator("img.preview")
        page.raw.wait_for_function("image => image.naturalWidth > 0", arg=preview.element_handle())
        assert preview.evaluate("image => image.naturalWidth") == 64
        page.raw.wait_for_timeout(1000)
        page.shot("lora-card")
        card.click()
        prompt = page.raw.locator("#txt2img_prompt textarea").first
        sync_api.expect(prompt).to_have_value(re.compile(rf"^{PROMPT} <lora:taste:1> noto style\s*$"))
        negative = page.raw.locator("#txt2img_neg_prompt textarea").first
        sync_api.expect(negative).to_have_value(re.compile(r"^\s*\(Weird image. :1\)\s*$"))
        tabs.filter(has_text="Generation").click()
        page.start()
        page.wait_for_result()
        page.shot("lora-drawn")
        (generation,) = page.generations
        image = page.raw.locator("#txt2img_gallery img").first
        shown = decoded(image.evaluate(AS_BASE64))
        assert "taste: " + addnet(lora) in generation.settings["Lora hashes"]
        assert (shown == wanted).all()
        assert page.errors == []


AS_BASE64 = """async image => {
  const bytes = new Uint8Array(await (await fetch(image.src)).arrayBuffer());
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
}"""


def decoded(text: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text))).convert("RGB"), dtype=int)


def addnet(path: Path) -> str:
    """The WebUI's short hash of a LoRA: of the file without its header."""
    content = path.read_bytes()
    return hashlib.sha256(content[8 + int.from_bytes(content[:8], "little") :]).hexdigest()[:12]
