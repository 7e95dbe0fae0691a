"""The HTTP API `/hps/v1/...`, behind the WebUI's own authentication, with limits on what a caller may send."""

from __future__ import annotations

import base64
import binascii
import io
from dataclasses import asdict, fields
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, HTTPException
from modules.call_queue import queue_lock
from PIL import Image
from pydantic import BaseModel

from lib_hps import __version__
from lib_hps.errors import HpsError, InputError
from lib_hps.scoring.images import MAX_PIXELS

from .auth import require_user
from .options import SCRIPT_TITLE, Options
from .scorers import ScorerHolder, infos, is_named

MAX_IMAGES = 64
MAX_IMAGE_BYTES = 32 << 20


class ScoreRequest(BaseModel):
    """Pictures as base64 (a data URL is fine), and one prompt for all or one for each."""

    images: list[str]
    prompt: str | list[str] = ""
    scorer: str = "hps-v2.1"


class ScoreResponse(BaseModel):
    """One score per picture, higher is better."""

    scores: list[float]
    scorer: str
    version: str


def decode_image(text: str) -> Image.Image:
    """A picture out of base64; sizes are checked before anything is decoded.

    Raises:
        HTTPException: 413 too large, 422 not a picture.
    """
    payload = text.partition(",")[2] if text.startswith("data:") else text
    if len(payload) * 3 // 4 > MAX_IMAGE_BYTES:
        raise HTTPException(413, f"A picture may have at most {MAX_IMAGE_BYTES >> 20} MiB.")
    try:
        image = Image.open(io.BytesIO(base64.b64decode(payload, validate=True)))
        if image.width * image.height > MAX_PIXELS:
            raise HTTPException(413, f"A picture may have at most {MAX_PIXELS:,} pixels.")
        image.load()
    except (binascii.Error, Image.DecompressionBombError, OSError, SyntaxError, ValueError) as error:
        raise HTTPException(422, f"Not a picture in base64: {error}") from error
    return image


def schema() -> dict[str, Any]:
    """The script's options in the order of `script_args`, as declared."""
    options = [{"name": f.name, "default": f.default, **f.metadata} for f in fields(Options)]
    return {"script_name": SCRIPT_TITLE, "script_args": options, "score": {"max_images": MAX_IMAGES}}


def score(holder: ScorerHolder, request: ScoreRequest) -> ScoreResponse:
    """Score what was sent; only scorers known by name or lying in the weights folder, so that no path is opened.

    Raises:
        HTTPException: 413 too many, 422 nothing to score or a wrong input, 503 the scorer is not available.
    """
    if not 0 < len(request.images) <= MAX_IMAGES:
        raise HTTPException(413 if request.images else 422, f"Send 1 to {MAX_IMAGES} pictures.")
    if not is_named(request.scorer):
        raise HTTPException(422, f"There is no scorer {request.scorer!r}; /hps/v1/scorers lists them.")
    prompts = request.prompt if isinstance(request.prompt, list) else [request.prompt] * len(request.images)
    images = [decode_image(image) for image in request.images]
    try:
        with queue_lock:
            try:
                scores = holder.score(request.scorer, images, prompts)
                version = holder.get(request.scorer).version
            finally:
                holder.rest(keep_loaded=False)  # off the GPU, also after a failure
    except InputError as error:
        raise HTTPException(422, str(error)) from error
    except HpsError as error:
        raise HTTPException(503, str(error)) from error
    return ScoreResponse(scores=scores, scorer=request.scorer, version=version)


def add_routes(app: FastAPI, holder: ScorerHolder) -> None:
    """Mount the API; called by the WebUI's on_app_started."""
    router = APIRouter(prefix="/hps/v1", dependencies=[Depends(require_user(app))], tags=["HPS"])
    router.add_api_route("/version", lambda: {"version": __version__}, methods=["GET"])
    router.add_api_route("/schema", schema, methods=["GET"])
    router.add_api_route("/scorers", lambda: [_public(info) for info in infos()], methods=["GET"])

    def post_score(request: ScoreRequest) -> ScoreResponse:
        return score(holder, request)

    # annotations here are text, and the function is local: give FastAPI the classes themselves
    post_score.__annotations__ = {"request": ScoreRequest, "return": ScoreResponse}
    router.add_api_route("/score", post_score, methods=["POST"], response_model=ScoreResponse)
    router.add_api_route("/unload", lambda: {"was_loaded": holder.unload()}, methods=["POST"])
    app.include_router(router)


def _public(info: Any) -> dict[str, Any]:
    """What a caller may know of a scorer: everything but where its file lies."""
    return {name: value for name, value in asdict(info).items() if name != "path"}
