"""The board's HTTP API under `/hps/v1`, for FastAPI from 0.94 on (pydantic 1 or 2). The service checks the bodies."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Depends, Request
from fastapi.openapi.utils import get_openapi
from fastapi.responses import FileResponse
from fastapi.routing import APIRoute
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool

from lib_hps import __version__
from lib_hps.board.bodies import BODIES
from lib_hps.board.requests import BoardRoute, Json, read_body, receive
from lib_hps.board.service import BoardService
from lib_hps.board.views import PREFIX
from lib_hps.errors import InputError, NotFoundError
from lib_hps.files import inside

PANEL = Path(__file__).parent / "panel"
_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".png": "image/png"}
_TYPES |= {".html": "text/html; charset=utf-8", ".woff2": "font/woff2"}
_FOREVER = {"Cache-Control": "private, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}


def make_router(
    service: BoardService,
    *,
    dependencies: list[Any] | None = None,
    route_class: type[APIRoute] = BoardRoute,
    describe: Callable[[], Json] = dict,
) -> APIRouter:
    """All routes of the board, to which a host may add its own.

    Args:
        service: what they act on.
        dependencies: FastAPI's, for every route: a host's own authentication.
        route_class: a `BoardRoute` with more to it.
        describe: what the host adds to the schema.
    """
    router = APIRouter(prefix=PREFIX, route_class=route_class, dependencies=dependencies)
    _add_looking(router, service, describe)
    _add_changing(router, service)
    _add_archive(router, service)
    _add_page(router)
    return router


def _add_looking(router: APIRouter, service: BoardService, describe: Callable[[], Json]) -> None:
    @router.get("/version")
    def version() -> Json:
        """The version of sd-webui-hps and of this API."""
        return {"version": __version__, "api": 1}

    @router.get("/schema")
    def schema() -> Json:
        """OpenAPI."""
        return {**get_openapi(title="sd-webui-hps", version=__version__, routes=router.routes), **describe()}

    @router.get("/options")
    def options() -> Json:
        """What a new session may choose from, and the defaults."""
        return service.options()

    @router.get("/scorers")
    def scorers() -> Json:
        """Scorers by name."""
        return {"scorers": service.scorers()}

    @router.get("/sessions")
    def sessions() -> Json:
        """All sessions, newest first."""
        return {"sessions": service.listing()}

    @router.get("/trash")
    def trashed() -> Json:
        """Sessions that may be taken back."""
        return {"sessions": service.trashed()}

    @router.get("/sessions/{id}")
    def state(id: str) -> Json:
        """A session's state."""
        return service.state(id)

    @router.get("/sessions/{id}/best")
    def best(id: str) -> Json:
        """The best so far: recipe, picture, infotext."""
        return service.best(id)

    @router.get("/sessions/{id}/pictures/{file}", response_class=FileResponse)
    def picture(id: str, file: str) -> FileResponse:
        """A picture or thumbnail; a name stands for its content, so it never changes."""
        path = service.picture(id, file)
        return FileResponse(path, media_type="image/png" if path.suffix == ".png" else "image/jpeg", headers=_FOREVER)


def _add_changing(router: APIRouter, service: BoardService) -> None:
    def post(path: str, act: Callable[..., Json], summary: str, *, has_id: bool = True) -> None:
        """A POST route whose body goes to the service as it is."""

        def with_id(id: str, body: Json = Depends(read_body)) -> Json:  # noqa: B008
            return act(id, body)

        def without_id(body: Json = Depends(read_body)) -> Json:  # noqa: B008
            return act(body)

        name = path.rsplit("/", 1)[-1].strip("{}")
        router.add_api_route(
            path,
            with_id if has_id else without_id,
            methods=["POST"],
            summary=summary,
            operation_id=f"hps_{name}" if has_id else f"hps_post_{name}",
            response_model=None,
            openapi_extra=BODIES.get(path),
        )

    post("/options", service.set_options, "Change what can be changed", has_id=False)
    post("/sessions", service.create, "Begin a session", has_id=False)
    post("/sessions/{id}/draw", lambda id, _: service.draw(id), "Draw what this round lacks")
    post("/sessions/{id}/tell", service.tell, "Answer this round")
    post("/sessions/{id}/undo", service.undo, "Take the last answer back")
    post("/sessions/{id}/branch", service.branch, "A new session from an earlier round")
    post("/sessions/{id}/settings", service.change_settings, "Other settings from now on")
    post("/sessions/{id}/rename", service.rename, "Another name")
    post("/sessions/{id}/auto", service.auto, "Rounds by a scorer, in the background")
    post("/sessions/{id}/mixed", service.mixed, "Draw many, a scorer shows its best few")
    post("/sessions/{id}/cancel", lambda id, _: service.cancel(id), "Stop what runs")
    post("/sessions/{id}/finish", service.finish, "The best at its full size")
    post("/trash/{id}/restore", lambda id, _: service.restore(id), "Back from the trash")

    @router.delete("/sessions/{id}")
    def trash(id: str) -> Json:
        """To the trash folder."""
        service.trash(id)
        return {"trashed": True}


def _add_archive(router: APIRouter, service: BoardService) -> None:
    @router.get("/sessions/{id}/export", response_class=FileResponse)
    def export(id: str) -> FileResponse:
        """The session as a zip."""
        folder = tempfile.TemporaryDirectory(prefix="hps-export-")
        try:
            target = service.export(id, Path(folder.name) / "session.zip")
        except BaseException:
            folder.cleanup()
            raise
        return FileResponse(
            target, media_type="application/zip", filename=f"{id}.zip", background=BackgroundTask(folder.cleanup)
        )

    @router.post("/sessions/import", openapi_extra=BODIES["/sessions/import"])
    async def import_(request: Request) -> Json:
        """A session from a zip: multipart/form-data, or the zip as it is."""
        with tempfile.TemporaryDirectory(prefix="hps-import-") as folder:
            path = Path(folder) / "session.zip"
            await receive(request, path)
            return await run_in_threadpool(service.import_, path)


def _add_page(router: APIRouter) -> None:
    @router.get("/board", include_in_schema=False)
    def board() -> FileResponse:
        return _static("board.html")

    @router.get("/board/static/{path:path}", include_in_schema=False)
    def static(path: str) -> FileResponse:
        return _static(path)


def _static(name: str) -> FileResponse:
    """A file of the panel."""
    try:
        path = inside(PANEL, name)
    except (InputError, ValueError):
        raise NotFoundError(f"There is no file {name[:60]!r} in the panel.") from None
    if not path.is_file() or path.suffix not in _TYPES:
        raise NotFoundError(f"There is no file {name[:60]!r} in the panel.")
    return FileResponse(path, media_type=_TYPES[path.suffix], headers={"Cache-Control": "no-cache"})
