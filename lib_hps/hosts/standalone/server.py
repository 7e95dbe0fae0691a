"""Starting the page: port, browser, and nothing that asks the internet."""

from __future__ import annotations

import argparse
import os
import socket
import threading
import time
import webbrowser
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lib_hps.errors import InputError

if TYPE_CHECKING:
    from fastapi import FastAPI

    from lib_hps.hosts.standalone.studio import Studio

_FIRST_PORT, _PORTS_TRIED = 7860, 100


@dataclass(frozen=True)
class ServerOptions:
    """How the page is served.

    Attributes:
        port: None takes the first free one from 7860.
        is_public: other machines may connect.
        scorer: None for the bundled one.
        opens_browser: open a window when the page is ready.
        lora_dir: where `<lora:name:1>` in prompts is looked for.
    """

    checkpoint: Path
    outputs: Path = Path("outputs")
    port: int | None = None
    is_public: bool = False
    scorer: str | None = None
    device: str = "auto"
    dtype: str = "auto"
    opens_browser: bool = True
    lora_dir: Path | None = None

    @classmethod
    def of(cls, arguments: argparse.Namespace, *, checkpoint: Path) -> ServerOptions:
        """From the command line's options."""
        return cls(
            checkpoint=checkpoint,
            outputs=arguments.outputs,
            port=arguments.port,
            is_public=arguments.listen,
            scorer=arguments.scorer,
            device=arguments.device,
            dtype=arguments.dtype,
            opens_browser=not arguments.no_browser,
            lora_dir=arguments.lora_dir,
        )


def serve(options: ServerOptions, *, say: Callable[[str], None]) -> None:
    """Load the model, open the page, and stay until Ctrl-C.

    Args:
        options: what to serve and how.
        say: gets a line when something happened that the user should see.

    Raises:
        HpsError: the checkpoint or the port cannot be used.
    """
    import uvicorn

    from lib_hps.diffusion.bundled import SCORER
    from lib_hps.diffusion.pipeline import load_pipeline
    from lib_hps.hosts.standalone.studio import Studio

    began = time.monotonic()
    host = "0.0.0.0" if options.is_public else "127.0.0.1"
    port = options.port or free_port(host)
    check_port(host, port)
    say(f"Loading {options.checkpoint} ...")
    pipeline = load_pipeline(options.checkpoint, options.device, options.dtype, lora_dir=options.lora_dir)
    studio = Studio(pipeline, options.outputs, scorer=options.scorer or SCORER, device=options.device)
    server = uvicorn.Server(uvicorn.Config(make_server_app(studio), host=host, port=port, log_level="warning"))
    url = f"http://{'localhost' if options.is_public else host}:{port}"

    def when_ready() -> None:
        while not server.started:
            time.sleep(0.05)
        say(f"Ready in {time.monotonic() - began:.1f} s: {url}  (Ctrl-C stops)")
        if options.opens_browser:
            webbrowser.open(url)

    threading.Thread(target=when_ready, daemon=True, name="hps-ready").start()
    server.run()


def make_server_app(studio: Studio) -> FastAPI:
    """The page as a FastAPI app, to which other routes can be added."""
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    from fastapi import FastAPI

    from lib_hps.board.api import make_router
    from lib_hps.board.keeper import ChoiceKeeper
    from lib_hps.board.service import BoardService
    from lib_hps.hosts.standalone.app import build_app, mount
    from lib_hps.hosts.standalone.rounds import StandaloneHost
    from lib_hps.session import SessionStore

    app = FastAPI(title="sd-webui-hps", docs_url=None, redoc_url=None)
    store = SessionStore(studio.outputs / "sessions")
    board = BoardService(store, StandaloneHost(studio), ChoiceKeeper(studio.outputs / "choices"))
    app.include_router(make_router(board))  # before the page, which takes every other path
    return mount(app, build_app(studio), studio)


def free_port(host: str) -> int:
    """The first free port from 7860.

    Raises:
        InputError: a hundred of them are taken.
    """
    for port in range(_FIRST_PORT, _FIRST_PORT + _PORTS_TRIED):
        if _is_free(host, port):
            return port
    raise InputError(
        f"The ports {_FIRST_PORT} to {_FIRST_PORT + _PORTS_TRIED - 1} are all taken. Give another one with --port."
    )


def check_port(host: str, port: int) -> None:
    """Refuse a taken or impossible port before the model is loaded.

    Raises:
        InputError: it cannot be used.
    """
    if not 1 <= port <= 65535 or not _is_free(host, port):
        raise InputError(
            f"Port {port} cannot be used: it is taken, or not allowed. Give another one with --port, or none."
        )


def _is_free(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
