"""A client of the board's API on a server in this process."""

from __future__ import annotations

import io
import time

import pytest

try:
    from fastapi import FastAPI
    from fastapi.testclient import TestClient
except (ImportError, RuntimeError) as error:  # the test client says in its own way that it needs an HTTP client
    pytest.skip(f"the board's API was not called: {error}", allow_module_level=True)

from board_host import Painter

from lib_hps.board.api import make_router
from lib_hps.board.keeper import ChoiceKeeper
from lib_hps.board.service import BoardService
from lib_hps.infotext import parse_infotext
from lib_hps.session import SessionStore

V1 = "/hps/v1"


class Board:
    """A client of one server."""

    def __init__(self, folder, host=None) -> None:
        self.folder, self.host = folder, host or Painter()
        self.service = BoardService(SessionStore(folder / "sessions"), self.host, ChoiceKeeper(folder / "choices"))
        app = FastAPI()
        app.include_router(make_router(self.service))
        self.client = TestClient(app)

    def get(self, path, status=200):
        answer = self.client.get(V1 + path)
        assert answer.status_code == status, answer.text
        return answer.json()

    def post(self, path, body=None, status=200):
        answer = self.client.post(V1 + path, json=body or {})
        assert answer.status_code == status, answer.text
        return answer.json()

    def begin(self, **body):
        return self.post(
            "/sessions", {"settings": {"prompt": "a cat"}, "batch": 4, "seed": 7, "optimizer": "random", **body}
        )

    def wait(self, id):
        give_up = time.monotonic() + 60
        while (state := self.get(f"/sessions/{id}"))["task"] is not None:
            assert time.monotonic() < give_up
            time.sleep(0.01)
        return state

    def draw(self, id):
        self.post(f"/sessions/{id}/draw")
        state = self.wait(id)
        assert state["error"] is None
        return state

    def play(self, id, order=([1],)):
        state = self.draw(id)
        return self.post(f"/sessions/{id}/tell", {"round": state["round"], "order": list(order)})


def infotext(board: Board, url: str) -> dict:
    from PIL import Image

    with Image.open(io.BytesIO(board.client.get(url).content)) as image:
        return dict(parse_infotext(image.info["parameters"]).settings)
