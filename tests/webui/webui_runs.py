"""One request to the WebUI's API and what came of it, read the way a user would: pictures, infotexts, files."""

from __future__ import annotations

import base64
import hashlib
import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from webui_server import BUNDLED, WebUI

from lib_hps.hosts.webui.options import SAVE_NONE
from lib_hps.infotext import Generation, parse_infotext
from lib_hps.scoring import load_scorer

NEEDS_SCORER = [
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
PLAIN |= {"mode": "Rerank", "session": "", "task": "", "recipe": "", "origin": ""}
SMALL = {"n_iter": 1, "batch_size": 1}


class Run:
    """One request and what came of it."""

    def __init__(
        self, webui: WebUI, *, options: dict[str, Any] | None = None, route: str = "txt2img", **more: Any
    ) -> None:
        before = saved_files(webui)
        body = {**REQUEST, **more}
        if options is not None:
            body |= {"script_name": "HPS", "script_args": list({**PLAIN, **options}.values())}
        answer = webui.post(f"/sdapi/v1/{route}", body)
        self.images = [decode(image) for image in answer["images"]]
        self.info = json.loads(answer["info"])
        self.first = self.info["index_of_first_image"]
        self.infotexts = self.info["infotexts"][self.first :]
        self.generations = [parse_infotext(text) for text in self.infotexts]
        self.files = sorted(saved_files(webui) - before)

    @property
    def shown(self) -> list[Image.Image]:
        """Without the grid."""
        return self.images[self.first :]

    @property
    def scores(self) -> list[float]:
        return [float(generation.settings["HPS"]) for generation in self.generations]

    @property
    def seeds(self) -> list[int]:
        return [int(generation.settings["Seed"]) for generation in self.generations]

    @property
    def message(self) -> str:
        return self.info["extra_generation_params"].get("HPS message", "")

    def settings(self, key: str) -> list[str | None]:
        return [generation.settings.get(key) for generation in self.generations]


def decode(text: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(text)))


def encode(image: Image.Image, **save: Any) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", **save)
    return base64.b64encode(buffer.getvalue()).decode()


def saved_files(webui: WebUI) -> set[Path]:
    found = {f for kind in ("png", "jpg") for f in webui.data.rglob(f"*.{kind}")}
    return {
        f for f in found if "grids" not in str(f) and "output" in str(f) and not {"sessions", "choices"} & {*f.parts}
    }


def pixels(image: Image.Image) -> str:
    """Says of two pictures whether they are the same."""
    return hashlib.sha1(image.convert("RGB").tobytes(), usedforsecurity=False).hexdigest()


def my_scores(images: list[Image.Image], prompts: str | list[str] = PROMPT, *, scorer: str = "tiny-hps") -> list[float]:
    """What the scorer says in this process, of the pictures as they came out."""
    return load_scorer(scorer, device="cpu").score([image.convert("RGB") for image in images], prompts).tolist()


def check_scores(run: Run, *, scorer: str = "tiny-hps") -> None:
    """What the infotexts say is what the scorer says of the pictures and prompts that belong to them."""
    prompts = [generation.prompt for generation in run.generations]
    mine = my_scores(run.shown[: len(prompts)], prompts, scorer=scorer)
    assert run.scores == pytest.approx(mine, abs=2e-4)


def files_by_seed(run: Run) -> dict[str, Generation]:
    from lib_hps.infotext import read_generation

    read = [read_generation(file) for file in run.files]
    return {generation.settings["Seed"]: generation for generation in read if generation is not None}


def rank(webui: WebUI, session: str = "", do: dict[str, Any] | None = None, **more: Any) -> Run:
    """One press of Generate in the mode Rank."""
    task = {"new": {"batch": 3}, **(do or {})}
    return Run(webui, options={"mode": "Rank", "session": session, "task": task}, **{**SMALL, **more})


def session_of(run: Run) -> str:
    return str(run.info["extra_generation_params"]["HPS session"])


def state_of(webui: WebUI, id: str) -> dict[str, Any]:
    state: dict[str, Any] = webui.get(f"/hps/v1/sessions/{id}")
    return state


def tell(webui: WebUI, id: str, *order: int) -> dict[str, Any]:
    now = state_of(webui, id)
    return webui.post(f"/hps/v1/sessions/{id}/tell", {"round": now["round"], "order": [[n] for n in order]})
