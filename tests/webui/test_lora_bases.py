"""LoRAs of every kind of layer on small random models of SDXL's and SD2's architecture, in the WebUI's own loader."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from webui_lora import train
from webui_runs import SMALL, Run
from webui_server import WebUI

for package in ("torch", "accelerate", "diffusers", "peft", "transformers"):
    pytest.importorskip(package)
pytestmark = pytest.mark.timeout(900)
PROMPT = "a cat"
REQUEST = {"steps": 8, "width": 64, "height": 64, "cfg_scale": 5, "seed": 3, "sampler_name": "Euler"}
PARTS = {"sdxl": ["te1", "te2", "unet"], "sd2": ["te", "unet"]}


@dataclass(frozen=True)
class Adapted:
    """A base in the WebUI's folder and a LoRA of it, `<lora:NAME:1>`."""

    family: str
    base: Path
    lora: Path


@pytest.fixture(scope="module", params=list(PARTS))
def adapted(webui: WebUI, tmp_path_factory: pytest.TempPathFactory, request: Any) -> Iterator[Adapted]:
    from tools.tiny_models import random_bases

    family = request.param
    base: Path = getattr(random_bases, f"write_{family}")(webui.data / "models" / "Stable-diffusion").path
    lora = train(
        base,
        webui.data / "models" / "Lora" / f"taste-{family}.safetensors",
        tmp_path_factory.mktemp(family),
        steps=6,
        targets="attention,feed-forward,conv",
    )
    if family == "sdxl":
        yaml = base.with_suffix(".yaml")
        yaml.write_text(re.sub(r"^    image_size: .*\n", "", yaml.read_text(), flags=re.MULTILINE))  # A1111 refuses it
    webui.post("/sdapi/v1/refresh-checkpoints", {})
    webui.post("/sdapi/v1/refresh-loras", {})
    yield Adapted(family, base, lora)
    webui.post("/sdapi/v1/options", {"sd_model_checkpoint": "tiny-sd"})


def drawn(webui: WebUI, adapted: Adapted, prompt: str) -> Run:
    # the usual preview needs a small model that A1111 downloads
    settings = {
        "sd_model_checkpoint": adapted.base.stem,
        "randn_source": "CPU",
        "show_progress_type": "Approx cheap",
    }
    return Run(webui, **{**SMALL, **REQUEST, "prompt": prompt, "override_settings": settings})


def pixels(run: Run) -> np.ndarray:
    return np.asarray(run.shown[0].convert("RGB"), dtype=int)


def test_the_webuis_loader_has_a_module_for_every_name(webui: WebUI, adapted: Adapted) -> None:
    from lib_hps.diffusion.lora_file import read_lora

    pairs = read_lora(adapted.lora).pairs
    assert sorted({name.split("_")[1] for name in pairs}) == PARTS[adapted.family]
    run = drawn(webui, adapted, f"tell networks, {PROMPT}<lora:{adapted.lora.stem}:1>")
    assert run.generations[0].settings["Tester networks"] == f"{adapted.lora.stem} {len(pairs)}"


def test_the_strength_moves_the_picture_and_the_standalone_host_draws_the_same(webui: WebUI, adapted: Adapted) -> None:
    """At most 2 of 255 levels apart."""
    from lib_hps.diffusion.pipeline import load_pipeline
    from lib_hps.diffusion.request import GenerationRequest

    base = pixels(drawn(webui, adapted, PROMPT))
    far = []
    pipeline = load_pipeline(adapted.base, "cpu", lora_dir=adapted.lora.parent)
    for tag in ("0", "0.4", "1", "0:1", "1:0"):
        prompt = f"{PROMPT}<lora:{adapted.lora.stem}:{tag}>"
        theirs = pixels(drawn(webui, adapted, prompt))
        request = GenerationRequest(prompt, steps=8, sampler="Euler", cfg=5, width=64, height=64, seed=3)
        mine = np.asarray(next(pipeline.generate(request)).image, dtype=int)
        far.append(float(np.abs(theirs - base).mean()))
        print(f"{adapted.family} {tag}: {far[-1]:.2f} from the base, at most {np.abs(mine - theirs).max()} apart")
        assert np.abs(mine - theirs).max() <= 2
    assert 0 == far[0] < far[1] < far[2]
    assert min(far[3:]) > 0  # text encoders alone and UNet alone
