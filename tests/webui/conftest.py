from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from slow_hub import WHOLE_FILE, SlowHub, whole_weights
from webui_board import Board
from webui_page import Page, opened
from webui_server import WebUI, find_root, running


@pytest.fixture(scope="session")
def webui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebUI]:
    """One server for all; `HPS_WEBUI_URL` and `HPS_WEBUI_DATA` name one that runs already, while writing tests."""
    url, data = os.environ.get("HPS_WEBUI_URL"), os.environ.get("HPS_WEBUI_DATA")
    if url and data:
        yield WebUI(url=url, data=Path(data), log=Path(data) / "server.log")
        return
    with running(find_root(), tmp_path_factory.mktemp("webui"), hub=SlowHub().url) as server:
        yield server


@pytest.fixture(scope="session")
def slow_scorer(webui: WebUI) -> Path:
    """The weights of `slow_hub.WHOLE`, a ViT-B-32: it takes long enough over a few pictures to click something."""
    file = webui.data / "models" / "HPS" / WHOLE_FILE
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(whole_weights())
    return file


@pytest.fixture
def page(webui: WebUI) -> Iterator[Page]:
    """The WebUI's page in a browser; the test fails where the page had errors."""
    with opened(webui.url) as page:
        yield page
        assert page.errors == []


@pytest.fixture
def board(webui: WebUI, page: Page) -> Board:
    """The mode "Rank" on the page."""
    page.raw.set_viewport_size({"width": 1280, "height": 900})
    page.fill(count=1, size=2, seed=11)
    board = Board(webui, page)
    board.choose()
    return board
