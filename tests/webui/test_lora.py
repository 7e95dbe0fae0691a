"""A LoRA of ours in the real WebUI: what it does to pictures, and that the standalone host agrees."""

from __future__ import annotations

import base64
import hashlib
import io
import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from webui_board import Board
from webui_lora import train
from webui_page import NEEDS_BROWSER, opened, sync_api
from webui_runs import SMALL, Run, pixels, rank, session_of, state_of, tell
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


def test_a_lora_that_comes_or_changes_between_rounds_is_recorded_and_drawn(webui: WebUI, lora: Path) -> None:
    first = rank(webui, prompt=PROMPT)
    id = session_of(first)
    with_lora = [f"{PROMPT} <lora:taste:{strength}>" for strength in (0.8, 0.5)]
    said = []
    for before, prompt in pairwise([PROMPT, *with_lora]):
        best = tell(webui, id, 2, 1)["best"]["recipe"]
        run = rank(webui, id, prompt=prompt)
        assert state_of(webui, id)["change"] == f"prompt: {before} -> {prompt}"
        said.append(f"prompt: {before} -> {prompt}")
        assert best in run.settings("HPS noise")  # the best so far is drawn anew, by the LoRA
        assert all(f"taste: {addnet(lora)}" in one.settings["Lora hashes"] for one in run.generations)
        recipe = {"mode": "Recipe", "recipe": best}
        alone = Run(webui, options=recipe, prompt=prompt, **SMALL)
        drawn_before = Run(webui, options=recipe, prompt=before, **SMALL)
        shown = pixels(run.shown[run.settings("HPS noise").index(best)])
        assert shown == pixels(alone.shown[0]) != pixels(drawn_before.shown[0])
    tell(webui, id, 1)
    assert [answer["change"] for answer in state_of(webui, id)["history"]] == [None, *said]


@NEEDS_BROWSER
def test_a_lora_that_comes_between_rounds_is_shown_on_the_board(webui: WebUI, lora: Path) -> None:
    with opened(webui.url) as page:
        page.fill(count=1, size=2, seed=11, prompt=PROMPT)
        board = Board(webui, page)
        board.choose()
        board.start(count=3)
        page.text("#txt2img_prompt", f"{PROMPT} <lora:taste:0.8>")
        board.pick(2)
        board.button("Next").click()
        board.wait_for_round(2, 3)
        shown = board.node.locator(".hps-say .hps-change")
        sync_api.expect(shown).to_contain_text(f"prompt: {PROMPT} -> {PROMPT} <lora:taste:0.8>")
        page.shot("rank-lora")
        assert page.errors == []


@NEEDS_BROWSER
def test_the_card_shows_it_and_a_click_inserts_lora_activation_text_and_negative(webui: WebUI, lora: Path) -> None:
    wanted = drawn(webui, f"{PROMPT} <lora:taste:1> noto style", negative_prompt="(Weird image. :1)")
    with opened(webui.url) as page:
        page.fill(steps=8, count=1, size=1, seed=3, prompt=PROMPT)
        page.choose("#txt2img_sampling", "Euler")
        tabs = page.raw.locator("#txt2img_extra_tabs > .tab-nav > button")
        tabs.filter(has_text="Lora").click()
        page.raw.locator(
            "#txt2img_extra_tabs #txt2img_lora_extra_refresh:visible"
        ).click()  # the cards are those of the first page that was opened
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
