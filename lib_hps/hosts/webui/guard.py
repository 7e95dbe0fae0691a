"""What stands before every route: the WebUI's own authentication, and a limit to what is read of a request.

FastAPI reads a request's body before it asks any dependency, so both are looked at before that, in the route itself.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.routing import APIRoute

from .auth import refuse_strangers

MAX_BODY_BYTES = 256 << 20
_UPLOADS = "/hps/v1/sessions/import"  # goes to the disk, with a limit of the board's


def _too_large() -> HTTPException:
    return HTTPException(413, f"A request may have at most {MAX_BODY_BYTES >> 20} MiB. Send fewer pictures at once.")


def _limited(request: Request) -> Request:
    """The same request, whose body ends in 413 where it is too large, with or without a Content-Length."""
    length = request.headers.get("content-length", "0")
    if not length.isdigit() or int(length) > MAX_BODY_BYTES:
        raise _too_large()
    read = 0

    async def receive() -> Any:
        nonlocal read
        message = await request.receive()
        read += len(message.get("body", b""))
        if read > MAX_BODY_BYTES:
            raise _too_large()
        return message

    return Request(request.scope, receive)


def guarded_route(app: FastAPI, base: type[APIRoute] = APIRoute) -> type[APIRoute]:
    """The class of route for `APIRouter(route_class=...)` of this app, over another one."""
    refuse = refuse_strangers(app)

    class GuardedRoute(base):  # type: ignore[valid-type,misc]
        """A route that lets strangers out with 401 before it reads what they send."""

        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            """FastAPI's own handler, behind the guard."""
            handle = super().get_route_handler()

            async def guarded(request: Request) -> Response:
                if (refusal := refuse(request)) is not None:
                    return refusal
                has_own_limit = request.url.path.endswith(_UPLOADS)
                return await handle(request if has_own_limit else _limited(request))

            return guarded

    return GuardedRoute
