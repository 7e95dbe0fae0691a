"""The form of the script, made from the declared options."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import Field, fields
from functools import partial
from typing import Any

import gradio as gr

from . import rank_widgets
from .options import Options, pasted
from .rank_options import RERANK


def _component(option: Field[Any], elem_id: str, scorers: Sequence[str], default: object) -> Any:
    meta = option.metadata
    common = {"label": meta["label"], "info": meta["info"], "value": default, "elem_id": elem_id}
    if option.name == "scorer":
        return gr.Dropdown(choices=list(scorers), allow_custom_value=True, **common)
    if "choices" in meta:
        return gr.Dropdown(choices=list(meta["choices"]), **common)
    if isinstance(option.default, bool):  # gradio writes the info above the box, where it belongs to nothing
        return gr.Checkbox(**{**common, "label": f"{meta['label']} ({meta['info']})", "info": None})
    if "maximum" in meta:
        return gr.Slider(minimum=meta["minimum"], maximum=meta["maximum"], step=meta["step"], **common)
    return gr.Number(**common)


def hidden_arguments(elem_id: Callable[[str], str]) -> list[Any]:
    """The twin's arguments for the API: nothing to see, nothing kept in ui-config.json."""
    components = [
        gr.Checkbox(label="Score this generation", value=False, visible=False, elem_id=elem_id("is_asked")),
        gr.Textbox(label="Scorer of this generation", value="", visible=False, elem_id=elem_id("scorer")),
    ]
    for component in components:
        setattr(component, "do_not_save_to_config", True)  # noqa: B010 - the WebUI's mark, unknown to gradio
    return components


def build_form(
    elem_id: Callable[[str], str], *, scorers: Callable[[], Sequence[str]], default_scorer: str
) -> tuple[list[Any], list[tuple[Any, Any]]]:
    """One component per argument, in rows of two, and the pairs by which a pasted infotext fills them.

    Args:
        elem_id: the script's own, so that two tabs do not clash.
        scorers: the names to offer; asked again by the refresh button.
    """
    components: dict[str, Any] = {}
    names = scorers()
    declared = list(fields(Options))
    with gr.Column(elem_classes=["hps-form"]):
        rank = rank_widgets.build_mode(elem_id)
        with gr.Column(elem_classes=[rank_widgets.part_of(RERANK)]):
            for start in range(0, len(declared), 2):
                with gr.Row():
                    for option in declared[start : start + 2]:
                        default = default_scorer if option.name == "scorer" else option.default
                        with gr.Column(min_width=160), gr.Row():
                            components[option.name] = _component(option, elem_id(option.name), names, default)
                            if option.name == "scorer":
                                refresh = gr.Button("\U0001f504", elem_id=elem_id("refresh"), elem_classes=["tool"])
        more, more_fields = rank_widgets.build_rest(elem_id, mode=rank)
    refresh.click(lambda: gr.update(choices=list(scorers())), outputs=[components["scorer"]], show_progress=False)
    paste_fields = [(component, partial(pasted, name=name)) for name, component in components.items()]
    return [*components.values(), *more], [*paste_fields, *more_fields]
