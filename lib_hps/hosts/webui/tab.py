"""The tab "HPS": score a folder, look at it sorted and filtered, unload the scorer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gradio as gr
from modules import shared

from lib_hps.errors import HpsError

from . import scorers
from .folder import Rated, View, find_pictures, rate
from .scorers import ScorerHolder

_PICTURES_SHOWN = 200  # what a browser takes at once
Answer = tuple[list[Rated], list[tuple[str, str]], str]


def look(rated: list[Rated], least: str, words: str, most: float | None) -> tuple[list[tuple[str, str]], str]:
    """The gallery by the filters, and a line about it."""
    try:
        lowest = float(least) if least and least.strip() else None
    except ValueError:
        return [], f"{least!r} is not a score; write a number, or nothing to see all."
    shown = View(lowest, words or "", int(most or 0)).of(rated or [])
    line = f"{len(shown)} of {len(rated or [])} scored pictures"
    if len(shown) > _PICTURES_SHOWN:
        line += f", the best {_PICTURES_SHOWN} of them below"
    return [(one.path, one.caption) for one in shown[:_PICTURES_SHOWN]], f"{line}."


def score_folder(
    holder: ScorerHolder, folder: str, with_subfolders: bool, scorer: str, prompt: str, *filters: Any
) -> Iterator[Answer]:
    """What the tab shows after each few pictures: all ratings, the gallery by the filters, and a line."""
    rated: list[Rated] = []
    try:
        files = find_pictures(folder, with_subfolders=with_subfolders)
        for rated, problems in rate(holder, files, scorer=scorer, prompt=prompt):
            gallery, line = look(rated, *filters)
            done = len(rated) + len(problems)
            state = f"{done} of {len(files)} pictures looked at. " if done < len(files) else ""
            left_out = f" {len(problems)} left out: {problems[0]}" if problems else ""
            yield list(rated), gallery, f"{state}{line}{left_out}"
        if not files:
            yield [], [], f"There are no pictures in {folder!r}."
    except HpsError as error:
        yield list(rated), look(rated, *filters)[0], str(error)


def _whole(answers: Iterator[Answer]) -> Answer:
    """The last answer alone, for a WebUI with `--no-gradio-queue`, where gradio takes no generators."""
    return list(answers)[-1]


def build_tab(holder: ScorerHolder) -> list[tuple[Any, str, str]]:
    """The tab's components; called by the WebUI's on_ui_tabs."""
    streams = not getattr(shared.cmd_opts, "no_gradio_queue", False)

    def stream(*given: Any) -> Iterator[Answer]:
        yield from score_folder(holder, *given)

    def answer(*given: Any) -> Answer:
        return _whole(score_folder(holder, *given))

    with gr.Blocks(analytics_enabled=False) as tab:
        rated = gr.State([])
        with gr.Row():
            folder = gr.Textbox(
                label="Folder of pictures",
                placeholder="on the machine where the WebUI runs",
                scale=3,
                min_width=280,
                elem_id="hps_tab_folder",
            )
            deep = gr.Checkbox(label="With subfolders", value=False, elem_id="hps_tab_deep")
        with gr.Row():
            names, default = scorers.choices(), scorers.default_scorer()
            scorer = gr.Dropdown(
                label="Scorer", choices=names, value=default, allow_custom_value=True, elem_id="hps_tab_scorer"
            )
            prompt = gr.Textbox(label="Prompt", placeholder="empty: each picture's own", elem_id="hps_tab_prompt")
        with gr.Row():
            start = gr.Button("Score", variant="primary", elem_id="hps_tab_score")
            stop = gr.Button("Stop", visible=streams, elem_id="hps_tab_stop")
            unload = gr.Button("Unload the scorer", elem_id="hps_tab_unload")
        line = gr.Markdown("All pictures of the folder are scored and shown best first.", elem_id="hps_tab_line")
        with gr.Row():
            # an empty gr.Number comes as 0 from gradio 3, and scores may be negative
            least = gr.Textbox(label="Show scores from", placeholder="all", elem_id="hps_tab_least")
            words = gr.Textbox(label="With these words in prompt or name", placeholder="any", elem_id="hps_tab_words")
            most = gr.Number(label="At most (0: all)", value=0, precision=0, elem_id="hps_tab_most")
        gallery = gr.Gallery(show_label=False, columns=5, elem_id="hps_tab_gallery")
        filters: list[Any] = [least, words, most]
        run = start.click(
            stream if streams else answer,
            inputs=[folder, deep, scorer, prompt, *filters],
            outputs=[rated, gallery, line],
            show_progress=False,
        )
        if streams:
            stop.click(None, cancels=[run])
        for component in filters:
            component.change(look, inputs=[rated, *filters], outputs=[gallery, line], show_progress=False)
        unload.click(lambda: "The scorer was unloaded." if holder.unload() else "No scorer was loaded.", outputs=[line])
    return [(tab, "HPS", "hps_tab")]
