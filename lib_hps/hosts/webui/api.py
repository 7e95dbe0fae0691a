"""The HTTP API `/hps/v1/...`, behind the WebUI's own authentication, with limits on what a caller may send."""

from __future__ import annotations

import base64
import binascii
import io
import math
from dataclasses import fields
from typing import Any

from fastapi import FastAPI, HTTPException
from modules.call_queue import queue_lock
from PIL import Image
from pydantic import BaseModel

from lib_hps.board.api import make_router
from lib_hps.board.requests import BoardRoute
from lib_hps.errors import HpsError, InputError

from .guard import guarded_route
from .options import SCRIPT_TITLE, Options
from .rank_board import WebUIBoard
from .rank_options import RankOptions
from .scorers import ScorerHolder, default_scorer, is_named

MAX_IMAGES = 64
MAX_IMAGE_BYTES = 32 << 20
MAX_PIXELS = 128_000_000  # of all pictures of a request together: what they need in memory
_FORMATS = ("PNG", "JPEG", "WEBP", "AVIF", "GIF", "BMP")  # none that Pillow hands to another program


class ScoreRequest(BaseModel):
    """Pictures as base64 (a data URL is fine), one prompt for all or one for each, and who judges.

    No scorer: the one of the WebUI's settings.
    """

    images: list[str]
    prompt: str | list[str] = ""
    scorer: str = ""


class ScoreResponse(BaseModel):
    """One score per picture, higher is better."""

    scores: list[float]
    scorer: str
    version: str


def decode_image(text: str, *, pixels_left: int) -> Image.Image:
    """A picture out of base64; sizes are checked before anything is decoded.

    Raises:
        HTTPException: 413 too large, 422 not a picture.
    """
    payload = text.partition(",")[2] if text.startswith("data:") else text
    if len(payload) * 3 // 4 > MAX_IMAGE_BYTES:
        raise HTTPException(413, f"A picture may have at most {MAX_IMAGE_BYTES >> 20} MiB.")
    try:
        image = Image.open(io.BytesIO(base64.b64decode(payload, validate=True)), formats=_known_formats())
        if image.width * image.height > pixels_left:
            raise HTTPException(413, f"A request may have at most {MAX_PIXELS:,} pixels in all its pictures.")
        image.load()
    except (binascii.Error, Image.DecompressionBombError, OSError, SyntaxError, ValueError) as error:
        raise HTTPException(422, "Not a picture in base64 (PNG, JPEG, WebP, AVIF, GIF or BMP).") from error
    return image


def _known_formats() -> list[str]:
    """Those of `_FORMATS` that this Pillow has."""
    Image.init()
    return [name for name in _FORMATS if name in Image.OPEN]


def decode_images(texts: list[str]) -> list[Image.Image]:
    """All pictures of a request.

    Raises:
        HTTPException: see `decode_image`.
    """
    images: list[Image.Image] = []
    left = MAX_PIXELS
    for text in texts:
        images.append(decode_image(text, pixels_left=left))
        left -= images[-1].width * images[-1].height
    return images


def script_schema() -> dict[str, Any]:
    """What stands in the schema beside OpenAPI: the script's options in the order of `script_args`, as declared."""
    limits = {"max_images": MAX_IMAGES, "max_image_bytes": MAX_IMAGE_BYTES, "max_pixels": MAX_PIXELS}
    declared = [*fields(Options), *fields(RankOptions)]
    options = [{"name": f.name, "default": f.default, **f.metadata} for f in declared]
    return {"script_name": SCRIPT_TITLE, "script_args": options, "score": limits}


def score(holder: ScorerHolder, request: ScoreRequest) -> ScoreResponse:
    """Score what was sent; only scorers known by name or lying in the weights folder, so that no path is opened.

    Raises:
        HTTPException: 413 too many, 422 nothing to score or a wrong input, 503 the scorer is not available.
    """
    if not 0 < len(request.images) <= MAX_IMAGES:
        raise HTTPException(413 if request.images else 422, f"Send 1 to {MAX_IMAGES} pictures.")
    prompts = request.prompt if isinstance(request.prompt, list) else [request.prompt] * len(request.images)
    if len(prompts) != len(request.images):
        raise HTTPException(422, f"Send one prompt, or one per picture: {len(request.images)}, not {len(prompts)}.")
    name = request.scorer or default_scorer()
    try:
        if not is_named(name):
            raise HTTPException(422, f"There is no scorer {name!r}; /hps/v1/scorers lists them.")
        images = decode_images(request.images)
        with queue_lock:
            try:
                scores = holder.score(name, images, prompts)
                version = holder.get(name).version
            finally:
                holder.rest(keep_loaded=False)  # off the GPU, also after a failure
        if not all(map(math.isfinite, scores)):
            raise HTTPException(503, f"{name} gave no number; its weights are damaged.")
    except InputError as error:
        raise HTTPException(422, str(error)) from error
    except HpsError as error:
        raise HTTPException(503, str(error)) from error
    return ScoreResponse(scores=scores, scorer=name, version=version)


def add_routes(app: FastAPI, holder: ScorerHolder, board: WebUIBoard) -> None:
    """Mount the API, the board's with ours; called by the WebUI's on_app_started."""
    router = make_router(board, route_class=guarded_route(app, BoardRoute), describe=script_schema)
    router.add_api_route(
        "/sessions/{id}/form", board.form, methods=["GET"], summary="An infotext to fill the form with"
    )

    def post_score(request: ScoreRequest) -> ScoreResponse:
        return score(holder, request)

    # annotations here are text, and the function is local: give FastAPI the classes themselves
    post_score.__annotations__ = {"request": ScoreRequest, "return": ScoreResponse}
    router.add_api_route("/score", post_score, methods=["POST"], response_model=ScoreResponse)
    router.add_api_route("/unload", lambda: {"was_loaded": holder.unload()}, methods=["POST"])
    app.include_router(router)
