"""The parts of the page. Gradio 4.40 to 6: what a version does not know is left out."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import gradio as gr

from lib_hps.diffusion.bundled import EXAMPLE
from lib_hps.diffusion.request import LARGEST_SEED
from lib_hps.diffusion.samplers import SAMPLERS
from lib_hps.hosts.standalone.form import sizes
from lib_hps.hosts.standalone.view import scorer_label

if TYPE_CHECKING:
    from lib_hps.hosts.standalone.studio import Studio

INPUTS = ("prompt", "negative", "steps", "sampler", "cfg", "size", "seed", "batch", "count", "keep", "scorer")
_EMPTY = (
    '<div class="hps-empty"><div><b>Write a prompt and press Generate</b>'
    "The pictures appear here, the best by score first.</div></div>"
)


def supported(function: Callable[..., Any], **wanted: Any) -> dict[str, Any]:
    """Those of `wanted` that this version of Gradio takes."""
    names = inspect.signature(function).parameters
    return {name: value for name, value in wanted.items() if name in names}


def make_form(studio: Studio) -> dict[str, Any]:
    """Every field by its name in `INPUTS`, and the two buttons."""
    side = studio.pipeline.native_side_px
    is_tiny = side < 256
    names = [(scorer_label(name), name) for name in studio.scorer_names()]
    form: dict[str, Any] = {
        "prompt": gr.Textbox(
            label="Prompt",
            lines=3,
            value=EXAMPLE if is_tiny else "",
            placeholder="a cat on a red sofa",
            elem_id="hps-prompt",
            autofocus=True,
        ),
        "negative": gr.Textbox(label="Negative prompt", lines=1, placeholder="what you do not want"),
    }
    with gr.Row(elem_id="hps-actions"):
        generate = gr.Button("Generate", variant="primary", elem_id="hps-generate", scale=3, min_width=160)
        cancel = gr.Button("Cancel", elem_id="hps-cancel", scale=1, min_width=80, interactive=False)
    with gr.Row(elem_classes=["hps-fields"]):
        count = _whole("Candidates", 16 if is_tiny else 4, 1, 10_000, info="drawn in all")
        keep = _whole("Keep the best", 4, 1, 10_000, info="shown and saved")
        scorer = gr.Dropdown(names, value=names[0][1], label="Scorer", info="decides what is best", min_width=150)
    with gr.Row(elem_classes=["hps-fields"]):
        sampler = gr.Dropdown(list(SAMPLERS), value=next(iter(SAMPLERS)), label="Sampler", scale=2, min_width=190)
        steps = _whole("Steps", 20, 1, 1000)
        cfg = gr.Number(4.0 if is_tiny else 7.0, minimum=0, maximum=100, step=0.5, label="CFG scale", min_width=84)
    with gr.Row(elem_classes=["hps-fields"]):
        size = gr.Dropdown(
            sizes(side), value=sizes(side)[0], allow_custom_value=True, label="Size in pixels", min_width=124
        )
        seed = _whole("Seed (-1: new)", -1, -1, LARGEST_SEED, min_width=124)
        batch = _whole("Batch size", 4 if is_tiny else 1, 1, 64)
    form |= {"steps": steps, "sampler": sampler, "cfg": cfg, "size": size, "seed": seed, "batch": batch}
    return form | {"count": count, "keep": keep, "scorer": scorer, "generate": generate, "cancel": cancel}


def _whole(
    label: str, value: int, lowest: int, highest: int, *, min_width: int = 84, info: str | None = None
) -> gr.Number:
    return gr.Number(
        value, precision=0, minimum=lowest, maximum=highest, step=1, label=label, info=info, min_width=min_width
    )


def _gallery(label: str, elem_id: str, *, is_visible: bool = True) -> Any:
    options = supported(
        gr.Gallery.__init__,
        format="png",
        interactive=False,
        buttons=[],
        fit_columns=False,
        show_download_button=False,
        show_share_button=False,
    )
    return gr.Gallery(
        label=label,
        show_label=False,
        elem_id=elem_id,
        elem_classes=["hps-gallery"],
        columns=4,
        height="auto",
        object_fit="contain",
        allow_preview=False,
        visible=is_visible,
        **options,
    )


def _infotext(elem_id: str) -> Any:
    options = supported(gr.Textbox.__init__, buttons=["copy"], show_copy_button=True)
    return gr.Textbox(label="How it was made", lines=4, max_lines=12, interactive=False, elem_id=elem_id, **options)


def make_results() -> dict[str, Any]:
    """Progress, pictures, details and downloads."""
    parts: dict[str, Any] = {
        "live": gr.HTML(_EMPTY, elem_id="hps-live", **supported(gr.HTML.__init__, padding=False)),
        "gallery": _gallery("Results", "hps-results", is_visible=False),
        "saved": gr.State([]),
    }
    with gr.Column(visible=False) as details:
        parts["infotext"] = _infotext("hps-infotext")
        with gr.Row():
            parts["file"] = gr.DownloadButton("Download this picture", elem_id="hps-file", min_width=140, size="sm")
            parts["zip"] = gr.DownloadButton("Download all (.zip)", elem_id="hps-zip", min_width=140, size="sm")
            parts["reuse"] = gr.Button("Use these settings", min_width=140, size="sm", elem_classes=["hps-small"])
    return parts | {"details": details}


def make_history() -> dict[str, Any]:
    """Earlier pictures and how they were made."""
    with gr.Column(scale=7, min_width=320):
        gallery = _gallery("History", "hps-history")
    with gr.Column(scale=4, min_width=320):
        infotext = _infotext("hps-old-infotext")
        with gr.Row():
            file = gr.DownloadButton(
                "Download this picture", interactive=False, min_width=140, size="sm", elem_classes=["hps-small"]
            )
            reuse = gr.Button("Use these settings", min_width=140, size="sm", elem_classes=["hps-small"])
    return {"gallery": gallery, "infotext": infotext, "file": file, "reuse": reuse, "paths": gr.State([])}
