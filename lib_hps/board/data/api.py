"""The routes of both pages under `/hps/v1/data`, for FastAPI from 0.94 on."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Depends
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse, Response

from lib_hps.board.data.browsing import Browser
from lib_hps.board.data.collecting import Collector
from lib_hps.board.data.pictures import PictureBook
from lib_hps.board.requests import BoardRoute, read_body
from lib_hps.errors import InputError, NotFoundError

PREFIX = "/hps/v1/data"
_PANEL = Path(__file__).parent / "panel"
_TYPES = {".js": "text/javascript", ".css": "text/css"}
_FOREVER = {"Cache-Control": "private, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}
_MOST_ROWS = 200
Json = dict[str, Any]


def browse_router(browser: Browser) -> APIRouter:
    """`/hps/v1/data/browse` and what it asks for."""
    router = _router("browse", "Choices", browser.book)

    @router.get("/choices")
    def choices(begin: int = 0, count: int = 24, words: str = "") -> Json:
        return browser.page(begin=max(0, begin), count=min(max(1, count), _MOST_ROWS), words=words)

    @router.post("/choices/drop")
    def drop(body: Json = Depends(read_body)) -> Json:  # noqa: B008
        return browser.drop(_text(body, "id"))

    @router.post("/choices/restore")
    def restore(body: Json = Depends(read_body)) -> Json:  # noqa: B008
        return browser.restore(_text(body, "id"))

    @router.post("/choices/correct")
    def correct(body: Json = Depends(read_body)) -> Json:  # noqa: B008
        return browser.correct(_text(body, "id"), body.get("order"))

    return router


def compare_router(collector: Collector) -> APIRouter:
    """`/hps/v1/data/compare` and what it asks for."""
    router = _router("compare", "Compare", collector.book)

    @router.post("/questions")
    def ask(body: Json = Depends(read_body)) -> Json:  # noqa: B008
        return collector.ask(anew=body.get("anew") is True)

    @router.post("/questions/answer")
    def answer(body: Json = Depends(read_body)) -> Json:  # noqa: B008
        return collector.answer(_text(body, "token"), body.get("order"))

    @router.post("/questions/undo")
    def undo() -> Json:
        return collector.undo()

    return router


def _router(name: str, title: str, book: PictureBook) -> APIRouter:
    router = APIRouter(prefix=PREFIX, route_class=BoardRoute)

    @router.get(f"/{name}", include_in_schema=False)
    def show() -> HTMLResponse:
        return HTMLResponse(_page(name, title), headers={"Cache-Control": "no-cache"})

    @router.get("/static/{file}", include_in_schema=False)
    def static(file: str) -> FileResponse:
        return _static(file)

    @router.get("/pictures/{key}")
    def picture(key: str) -> Response:
        content, kind = book.read(key)
        return Response(content, media_type=kind, headers=_FOREVER)

    @router.get("", include_in_schema=False)
    def first() -> RedirectResponse:
        return RedirectResponse(f"{PREFIX}/{name}")

    return router


def _page(name: str, title: str) -> str:
    fill = {"name": name, "title": title, "body": (_PANEL / f"{name}.html").read_text("utf-8")}
    return re.sub(r"{{(\w+)}}", lambda match: fill[match[1]], (_PANEL / "page.html").read_text("utf-8"))


def _static(name: str) -> FileResponse:
    path = _PANEL / Path(name).name
    if path.suffix not in _TYPES or not path.is_file():
        raise NotFoundError(f"There is no file {name[:60]!r} here.")
    return FileResponse(path, media_type=_TYPES[path.suffix], headers={"Cache-Control": "no-cache"})


def _text(body: Json, name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str):
        raise InputError(f"The request has no {name}.")
    return value
