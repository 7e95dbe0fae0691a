"""What the requests look like, for the OpenAPI schema; the service does the checking."""

from __future__ import annotations

from typing import Any

_WHOLE = {"type": "integer"}
_TEXT = {"type": "string"}
_TIERS = {"type": "array", "items": {"type": "array", "items": _WHOLE}}
_VERSION = {**_WHOLE, "description": "The state's version on which this is built: 409 if a decision was made since."}
_SETTINGS = {
    **{name: _TEXT for name in ("prompt", "negative", "sampler", "model", "more")},
    **{name: _WHOLE for name in ("steps", "width", "height")},
    "cfg": {"type": "number"},
}


def _json(properties: dict[str, Any], required: tuple[str, ...] = ()) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object", "properties": properties}
    if required:
        schema["required"] = list(required)
    return {"requestBody": {"required": bool(required), "content": {"application/json": {"schema": schema}}}}


BODIES: dict[str, dict[str, Any]] = {
    "/options": _json({"keeps_choices": {"type": "boolean"}}, ("keeps_choices",)),
    "/sessions": _json(
        {
            "id": {**_TEXT, "description": "By default one is made."},
            "name": _TEXT,
            "optimizer": _TEXT,
            "seed": _WHOLE,
            "batch": _WHOLE,
            "params": {"type": "object"},
            "settings": {"type": "object", "properties": _SETTINGS, "required": ["prompt"]},
        },
        ("settings",),
    ),
    "/sessions/{id}/draw": _json({}),
    "/sessions/{id}/tell": _json(
        {
            "round": _WHOLE,
            "order": {**_TIERS, "description": "Tiers of numbers, best first; who is not named is worse."},
            "none_better": {"type": "boolean"},
            "pairs": {**_TIERS, "description": "[better, worse]"},
            "version": _VERSION,
        },
        ("round",),
    ),
    "/sessions/{id}/undo": _json({"version": _VERSION}),
    "/sessions/{id}/branch": _json({"round": _WHOLE}, ("round",)),
    "/sessions/{id}/settings": _json({**_SETTINGS, "version": _VERSION}),
    "/sessions/{id}/rename": _json({"name": _TEXT}, ("name",)),
    "/sessions/{id}/auto": _json(
        {"rounds": _WHOLE, "scorer": _TEXT, "holdout": _TEXT, "images": _WHOLE, "patience": _WHOLE}, ("scorer",)
    ),
    "/sessions/{id}/mixed": _json({"draw": _WHOLE, "scorer": _TEXT}, ("scorer",)),
    "/sessions/{id}/cancel": _json({}),
    "/sessions/{id}/finish": _json({"width": _WHOLE, "height": _WHOLE, "strength": {"type": "number"}}),
    "/trash/{id}/restore": _json({}),
    "/sessions/import": {
        "requestBody": {
            "required": True,
            "content": {
                "application/zip": {"schema": {"type": "string", "format": "binary"}},
                "multipart/form-data": {
                    "schema": {"type": "object", "properties": {"file": {"type": "string", "format": "binary"}}}
                },
            },
        }
    },
}
