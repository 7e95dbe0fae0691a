"""How the board takes requests: errors in one sentence, bodies and uploads with a limit, nothing from other sites."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from fastapi import HTTPException, Request
from fastapi.responses import JSONResponse, Response
from fastapi.routing import APIRoute

from lib_hps.errors import ConflictError, HpsError, InputError, NotFoundError, StorageError

MOST_JSON_BYTES = 1 << 20
MOST_ZIP_BYTES = 4 << 30
Json = dict[str, Any]


class BoardRoute(APIRoute):
    """Says the core's errors as one sentence, and lets no page of another site change anything."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's own handler, with errors in words."""
        handle = super().get_route_handler()

        async def handler(request: Request) -> Response:
            if request.method != "GET" and request.headers.get("sec-fetch-site") == "cross-site":
                return JSONResponse({"detail": "This was asked by a page of another site, so it was not done."}, 403)
            try:
                return await handle(request)
            except HpsError as error:
                return JSONResponse({"detail": " ".join(str(error).split())}, _status(error))

        return handler


def _status(error: HpsError) -> int:
    if isinstance(error, NotFoundError):
        return 404
    if isinstance(error, ConflictError):
        return 409
    if isinstance(error, InputError):
        return 400
    return 507 if isinstance(error, StorageError) else 500


async def read_body(request: Request) -> Json:
    """The request's JSON object; nothing at all is an empty one.

    Raises:
        InputError: something else, or too much of it.
    """
    raw = b""
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > MOST_JSON_BYTES:
            raise InputError(f"The request is larger than {MOST_JSON_BYTES:,} bytes.")
    if not raw.strip():
        return {}
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise InputError(f"The request is not JSON ({error}).") from error
    if not isinstance(body, dict):
        raise InputError(f"The request is {raw[:40].decode(errors='replace')!r}; send a JSON object.")
    return body


async def receive(request: Request, path: Path) -> None:
    """Write an upload to a file, no more of it than a session can have.

    Raises:
        HTTPException, InputError: it is larger, or there is none.
    """
    length = request.headers.get("content-length", "0")
    if not length.isdigit() or int(length) > MOST_ZIP_BYTES:
        raise HTTPException(413, f"A session's zip may have at most {MOST_ZIP_BYTES >> 30} GiB.")
    with path.open("wb") as target:
        if request.headers.get("content-type", "").startswith("multipart/form-data"):
            async with request.form(max_files=1, max_fields=10) as form:
                upload = next((part for part in form.values() if not isinstance(part, str)), None)
                if upload is None:
                    raise InputError("There is no file in the request. Send the zip as a part of the form.")
                while chunk := await upload.read(1 << 20):
                    target.write(chunk)
            return
        size = 0
        async for chunk in request.stream():
            size += len(chunk)
            if size > MOST_ZIP_BYTES:
                raise HTTPException(413, f"A session's zip may have at most {MOST_ZIP_BYTES >> 30} GiB.")
            target.write(chunk)
