"""The tab "HPS": score a folder, look at it sorted, unload the scorer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr
from modules import shared
from modules.call_queue import queue_lock

from lib_hps.errors import HpsError, InputError
from lib_hps.infotext import read_generation
from lib_hps.rerank import best_first, is_score, score_text

from . import scorers
from .scorers import ScorerHolder

_SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".avif"}
_MOST_PICTURES = 2000


def hidden_arguments(elem_id: Callable[[str], str]) -> list[Any]:
    """The twin's arguments for the API: nothing to see, nothing kept in ui-config.json."""
    components = [
        gr.Checkbox(label="Score this generation", value=False, visible=False, elem_id=elem_id("is_asked")),
        gr.Textbox(label="Scorer of this generation", value="", visible=False, elem_id=elem_id("scorer")),
    ]
    for component in components:
        setattr(component, "do_not_save_to_config", True)  # noqa: B010 - the WebUI's mark, unknown to gradio
    return components


def score_folder(
    holder: ScorerHolder, folder: str, scorer: str, prompt: str, least: float | None
) -> tuple[list[tuple[str, str]], str]:
    """Pictures of a folder best first, each with its score, and a line about them.

    Args:
        prompt: for all; empty takes each picture's own from its infotext.
        least: pictures below it are left out of the view; None shows all. Nothing on disk changes.
    """
    root = Path(folder).expanduser()
    if getattr(shared.cmd_opts, "hide_ui_dir_config", False):
        return [], "Folders cannot be chosen here: the WebUI runs with --hide-ui-dir-config."
    if not folder.strip() or not root.is_dir():
        return [], f"There is no folder {folder!r}."
    files = sorted(file for file in root.iterdir() if file.suffix.lower() in _SUFFIXES)[:_MOST_PICTURES]
    prompts, usable, unreadable = [], [], 0
    for file in files:
        try:
            own = prompt or getattr(read_generation(file), "prompt", "")
        except InputError:
            own = ""
        if own:
            usable.append(file)
            prompts.append(own)
        else:
            unreadable += 1
    try:
        with queue_lock:
            scored = list(holder.get(scorer).iter_scores(usable, prompts))
            holder.rest(keep_loaded=False)
    except HpsError as error:
        return [], str(error)
    scores = [one.score for one in scored]
    shown = [i for i in best_first(scores) if is_score(scores[i]) and (least is None or (scores[i] or 0.0) >= least)]
    line = f"{len(shown)} of {len(files)} pictures; {unreadable} without a prompt were left out."
    return [(str(usable[i]), f"{score_text(scores[i] or 0.0)}  {usable[i].name}") for i in shown], line


def build_tab(holder: ScorerHolder) -> list[tuple[Any, str, str]]:
    """The tab's components; called by the WebUI's on_ui_tabs."""
    with gr.Blocks(analytics_enabled=False) as tab:
        with gr.Row():
            folder = gr.Textbox(label="Folder", elem_id="hps_tab_folder")
            names, default = scorers.choices(), getattr(shared.opts, "hps_scorer", "hps-v2.1")
            scorer = gr.Dropdown(
                label="Scorer", choices=names, value=default, allow_custom_value=True, elem_id="hps_tab_scorer"
            )
        with gr.Row():
            prompt = gr.Textbox(label="Prompt", info="empty: each picture's own", elem_id="hps_tab_prompt")
            least = gr.Number(label="Show scores from", value=None, elem_id="hps_tab_least")
        with gr.Row():
            start = gr.Button("Score", variant="primary", elem_id="hps_tab_score")
            unload = gr.Button("Unload the scorer", elem_id="hps_tab_unload")
        line = gr.Markdown(elem_id="hps_tab_line")
        gallery = gr.Gallery(show_label=False, columns=5, elem_id="hps_tab_gallery")
        start.click(
            lambda *given: score_folder(holder, *given), inputs=[folder, scorer, prompt, least], outputs=[gallery, line]
        )
        unload.click(lambda: "The scorer was unloaded." if holder.unload() else "No scorer was loaded.", outputs=[line])
    return [(tab, "HPS", "hps_tab")]
