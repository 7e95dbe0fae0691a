"""Who may call: whoever is logged in to the page, or knows the API's password. The WebUI's own means, none of ours."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from secrets import compare_digest
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from modules import shared

_REFUSAL = "Log in to the WebUI, or send the user name and password of --api-auth."
_CHALLENGE = 'Basic realm="API of the WebUI"'  # what a browser asks its user with
_COOKIES = ("access-token", "access-token-unsecure")


def api_passwords() -> dict[str, str]:
    """User names and passwords of `--api-auth`."""
    given = getattr(shared.cmd_opts, "api_auth", None) or ""
    return {user: password for user, _, password in (pair.partition(":") for pair in given.split(",")) if user}


def _basic(request: Request) -> tuple[str, str] | None:
    scheme, _, payload = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, _, password = base64.b64decode(payload, validate=True).decode("utf-8").partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return user, password


def _same(given: str, known: str | None) -> bool:
    return known is not None and compare_digest(given.encode(), known.encode())


def _has_page_login(app: Any, request: Request) -> bool:
    """True if the request bears the cookie of somebody logged in to the page; gradio 4 adds an id to its name."""
    tokens = getattr(app, "tokens", {})
    suffix = getattr(app, "cookie_id", None)
    names = (*_COOKIES, *(f"{name}-{suffix}" for name in _COOKIES if suffix))
    return any(request.cookies.get(name) in tokens for name in names if request.cookies.get(name))


def refuse_strangers(app: FastAPI) -> Callable[[Request], Response | None]:
    """A check that gives strangers an answer, 401, if the WebUI has any authentication at all; None for all others.

    An answer and no exception: the WebUI writes those anew without the header by which a browser asks its user.
    """

    def check(request: Request) -> Response | None:
        passwords, page_auth = api_passwords(), getattr(app, "auth", None)
        if not passwords and page_auth is None:
            return None
        if page_auth is not None and _has_page_login(app, request):
            return None
        basic = _basic(request)
        if basic is not None and _same(basic[1], passwords.get(basic[0])):
            return None
        headers = {"WWW-Authenticate": _CHALLENGE} if passwords else None
        return JSONResponse({"detail": _REFUSAL}, 401, headers)

    return check
