"""Scoring in the Extras tab and its API: single pictures, a batch, a folder; the score goes into the picture's info."""

from __future__ import annotations

from typing import Any

import gradio as gr
from modules import images, shared
from PIL import Image

from lib_hps.infotext import parse_infotext
from lib_hps.rerank import score_text

from . import features, scorers
from .scorers import ScorerHolder

NAME = "HPS"
ORDER = 9000  # behind upscaling and face restoration: the final picture is the one to judge
_PROMPT_ATTRIBUTE = "hps_prompt"


def build_controls() -> dict[str, Any]:
    """The controls, by the names that `process` takes."""
    with gr.Accordion("HPS: score", open=False, elem_id="extras_hps"):
        enable = gr.Checkbox(label="Score the result", value=False, elem_id="extras_hps_enable")
        with gr.Row():
            scorer = gr.Dropdown(
                label="Scorer",
                choices=scorers.choices(),
                value=scorers.default_scorer(),
                allow_custom_value=True,
                elem_id="extras_hps_scorer",
            )
            prompt = gr.Textbox(label="Prompt", info="empty: the picture's own", elem_id="extras_hps_prompt")
    return {"enable": enable, "scorer": scorer, "prompt": prompt}


def prompt_of(image: Image.Image) -> str:
    """The prompt in a picture's own infotext, "" where there is none."""
    infotext, _ = images.read_info_from_image(image)
    return parse_infotext(infotext).prompt if infotext else ""


def note_prompt(pp: Any) -> None:
    """Before anything is done to the picture: later steps put one without an infotext into its place."""
    setattr(pp.shared, _PROMPT_ATTRIBUTE, prompt_of(pp.image))


def score(pp: Any, holder: ScorerHolder, *, is_asked: bool, scorer: str, prompt: str) -> None:
    """Write score and scorer into the info of one picture, or why there is none."""
    if not (is_asked or getattr(shared.opts, "hps_score_every_image", False)):
        return
    name = scorer or scorers.default_scorer()
    own = getattr(getattr(pp, "shared", None), _PROMPT_ATTRIBUTE, None)
    words = prompt.strip() or (prompt_of(pp.image) if own is None else own)
    judged = holder.judge(name, [pp.image], [words])
    if features.is_last_job() or judged.problem:
        holder.rest(keep_loaded=bool(getattr(shared.opts, "hps_keep_loaded", False)))
    (value,) = judged.scores
    pp.info["HPS"] = score_text(value) if value is not None else f"not scored. {judged.problem}"
    pp.info["HPS scorer"] = name
