"""The page: a form on the left, the best pictures on the right. Gradio 4.40 to 6."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

import gradio as gr

from lib_hps.hosts.standalone.handlers import Handlers
from lib_hps.hosts.standalone.layout import INPUTS, make_form, make_history, make_results, supported
from lib_hps.hosts.standalone.theme import CSS, make_theme

if TYPE_CHECKING:
    from fastapi import FastAPI

    from lib_hps.hosts.standalone.studio import Studio

TITLE = "HPS: generate, score, keep the best"
# on a phone the results lie below the form
_SHOW_RESULTS = (
    "() => { document.getElementById('hps-live').scrollIntoView({ behavior: 'smooth', block: 'nearest' }); return []; }"
)


def build_app(studio: Studio) -> gr.Blocks:
    """The page for one studio; each browser tab has its own state."""
    look = supported(
        gr.Blocks.__init__, theme=make_theme(), css=CSS.read_text("utf-8"), delete_cache=(3600, 86400), fill_width=True
    )
    with gr.Blocks(title=TITLE, analytics_enabled=False, **look) as page:
        handlers = Handlers(studio)
        gr.HTML(
            '<div class="hps-head"><h1>HPS</h1><p>Draw many, keep the best by human preference score. '
            f"Model: {escape(studio.pipeline.name)}</p>"
            '<p><a href="hps/v1/board">Rank round after round on the board</a></p></div>',
            elem_id="hps-title",
            **supported(gr.HTML.__init__, padding=False),
        )
        with gr.Tabs():
            with gr.Tab("Generate"), gr.Row():
                with gr.Column(scale=4, min_width=320, elem_id="hps-form"):
                    form = make_form(studio)
                with gr.Column(scale=7, min_width=320):
                    results = make_results()
            with gr.Tab("History") as history_tab, gr.Row():
                old = make_history()
        _wire_generate(page, handlers, form, results)
        _wire_history(handlers, form, old, history_tab)
    return page


def mount(app: FastAPI, page: gr.Blocks, studio: Studio) -> FastAPI:
    """Serve the page at `/` of a FastAPI app; finished pictures may be fetched, nothing else on the disk."""
    page.queue(default_concurrency_limit=1)
    options = supported(
        gr.mount_gradio_app,
        theme=make_theme(),
        css=CSS.read_text("utf-8"),
        allowed_paths=[str(studio.outputs)],
        show_error=True,
        footer_links=[],
        ssr_mode=False,
    )
    return gr.mount_gradio_app(app, page, path="/", **options)


def _wire_generate(page: gr.Blocks, handlers: Handlers, form: dict[str, Any], parts: dict[str, Any]) -> None:
    inputs = [form[name] for name in INPUTS]
    buttons = [form["generate"], form["cancel"]]
    shown = [parts[name] for name in ("live", "gallery", "saved", "infotext", "file", "zip", "details")]
    for start in (form["generate"].click, form["prompt"].submit, form["negative"].submit):
        begun = start(
            handlers.begin, None, [*buttons, parts["live"]], queue=False, show_progress="hidden", js=_SHOW_RESULTS
        )
        ran = begun.then(
            handlers.generate, inputs, shown, concurrency_limit=1, concurrency_id="draw", show_progress="hidden"
        )
        ran.then(handlers.end, None, buttons, queue=False, show_progress="hidden")
    form["cancel"].click(handlers.cancel, None, form["cancel"], queue=False, show_progress="hidden")
    parts["gallery"].select(
        handlers.choose, parts["saved"], [parts["infotext"], parts["file"]], queue=False, show_progress="hidden"
    )
    parts["reuse"].click(
        handlers.reuse, parts["infotext"], [form[name] for name in INPUTS[:7]], queue=False, show_progress="hidden"
    )
    page.unload(handlers.leave)


def _wire_history(handlers: Handlers, form: dict[str, Any], old: dict[str, Any], tab: Any) -> None:
    tab.select(handlers.history, None, [old["gallery"], old["paths"]], queue=False, show_progress="hidden")
    old["gallery"].select(
        handlers.choose_old, old["paths"], [old["infotext"], old["file"]], queue=False, show_progress="hidden"
    )
    old["reuse"].click(
        handlers.reuse, old["infotext"], [form[name] for name in INPUTS[:7]], queue=False, show_progress="hidden"
    )
