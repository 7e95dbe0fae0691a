"""The mode, the board and the recipe in the script's form."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import gradio as gr

from .rank_options import MODES, RANK, RECIPE, RERANK, pasted

_BOARD = """<div class="hps-host" id="{id}" data-tab="{tab}"><p>The board is being loaded. If this stays, your browser
blocks scripts of the extension, or the page was not reloaded after it was installed.</p></div>"""


def build_mode(elem_id: Callable[[str], str]) -> Any:
    """What the script does; stands above all else."""
    return gr.Radio(
        label="Mode",
        choices=list(MODES),
        value=RERANK,
        info="Rerank: press Generate, the best pictures come first. Rank: click what you like, round after round. "
        "Recipe: draw a picture again from the noise in its infotext.",
        elem_id=elem_id("mode"),
    )


def build_rest(elem_id: Callable[[str], str], *, mode: Any) -> tuple[list[Any], list[tuple[Any, Any]]]:
    """The other components, and the pairs by which a pasted infotext fills all of them.

    Args:
        mode: of `build_mode`.

    Returns:
        Components in the order of `RankOptions`.
    """
    tab = "img2img" if "img2img" in elem_id("board") else "txt2img"
    with gr.Column(elem_classes=[part_of(RANK)]):
        gr.HTML(_BOARD.format(id=elem_id("board"), tab=tab))
    with gr.Column(elem_classes=[part_of(RECIPE)]):
        recipe = gr.Textbox(
            label="Noise recipe",
            info="filled when an infotext with HPS noise is pasted; one line, one picture",
            value="",  # hosts paste by its type, and gradio 4 has none where nothing is said
            lines=2,
            elem_id=elem_id("recipe"),
        )
    session, task, origin, asked, ready = (
        _sent(name, elem_id) for name in ("session", "task", "origin", "asked", "ready")
    )
    asked.change(lambda text: text, inputs=[asked], outputs=[ready], show_progress=False)  # the page's events are wired
    named = {"mode": mode, "session": session, "task": task, "recipe": recipe, "origin": origin}
    setattr(recipe, "do_not_save_to_config", True)  # noqa: B010 - the WebUI's mark, unknown to gradio
    return list(named.values()), [(component, partial(pasted, name=name)) for name, component in named.items()]


def part_of(mode: str) -> str:
    """CSS class of what belongs to one mode: style.css hides those of the others, at once and without the server."""
    return f"hps-part-{mode.lower()}"


def _sent(name: str, elem_id: Callable[[str], str]) -> Any:
    """What the page's script writes and nobody sees; hidden by style.css, for gradio 4 leaves out what is invisible."""
    box = gr.Textbox(label=f"HPS {name}", value="", elem_id=elem_id(name), elem_classes=["hps-sent"], container=False)
    setattr(box, "do_not_save_to_config", True)  # noqa: B010
    return box
