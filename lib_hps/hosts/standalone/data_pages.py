"""Serving the data pages on this machine, and drawing the pictures of the page Compare."""

from __future__ import annotations

import threading
import time
import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from lib_hps.errors import HpsError
from lib_hps.files import atomic_write
from lib_hps.hosts.standalone.server import check_port, free_port
from lib_hps.infotext import png_info

if TYPE_CHECKING:
    from fastapi import APIRouter

    from lib_hps.board.data.collecting import Collector

_HOST = "127.0.0.1"


def serve_page(router: APIRouter, *, port: int | None, opens_browser: bool, say: Callable[[str], None]) -> None:
    """Serve a page to this machine alone, until Ctrl-C.

    Raises:
        InputError: the port cannot be used.
    """
    import uvicorn
    from fastapi import FastAPI

    from lib_hps.board.data.api import PREFIX

    chosen = port or free_port(_HOST)
    check_port(_HOST, chosen)
    app = FastAPI(title="sd-webui-hps", docs_url=None, redoc_url=None)
    app.include_router(router)
    server = uvicorn.Server(uvicorn.Config(app, host=_HOST, port=chosen, log_level="warning"))
    url = f"http://{_HOST}:{chosen}{PREFIX}"

    def when_ready() -> None:
        while not server.started:
            time.sleep(0.05)
        say(f"Ready: {url}  (Ctrl-C stops)")
        if opens_browser:
            webbrowser.open(url)

    threading.Thread(target=when_ready, daemon=True, name="hps-ready").start()
    server.run()


def draw_in_background(
    collector: Collector, prompt: str, *, count: int, seed: int, checkpoint: Path | None, say: Callable[[str], None]
) -> threading.Thread:
    """Draw pictures for the page while it is being answered; they are kept beside the choices.

    Raises:
        HpsError: the model cannot be loaded.
    """
    from lib_hps.diffusion.bundled import require_tiny_checkpoint
    from lib_hps.diffusion.pipeline import load_pipeline
    from lib_hps.diffusion.request import GenerationRequest, Picture

    pipeline = load_pipeline(checkpoint or require_tiny_checkpoint(), "auto", "auto")
    if checkpoint:
        side = pipeline.native_side_px
        request = GenerationRequest(prompt, width=side, height=side, seed=seed, count=count)
    else:
        request = GenerationRequest(prompt, sampler="DDIM", cfg=4.0, width=64, height=64, seed=seed, count=count)
    collector.is_drawing = True

    def draw() -> None:
        try:
            for event in pipeline.stream(request):
                if isinstance(event, Picture):
                    file = collector.choices / "drawn" / f"{seed + event.index:010d}.png"
                    with atomic_write(file) as stream:
                        event.image.save(stream, "PNG", pnginfo=png_info(event.infotext()))
                    collector.add(file, prompt)
        except HpsError as error:
            say(f"Drawing stopped: {error}")
        finally:
            collector.is_drawing = False

    thread = threading.Thread(target=draw, daemon=True, name="hps-draw")
    thread.start()
    return thread
