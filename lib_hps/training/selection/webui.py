"""A running WebUI as the one who draws, through its HTTP API (A1111, Forge and their like, started with --api)."""

from __future__ import annotations

import base64
import binascii
import io
import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lib_hps.errors import InputError

if TYPE_CHECKING:
    from PIL.Image import Image

    from lib_hps.training.selection.drawing import Look

_QUICK_S, _DRAW_S = 60, 1800
_NAMED = 5


class WebUIArtist:
    """Draws with what the WebUI has loaded, or with a checkpoint of its list.

    Args:
        url: such as http://127.0.0.1:7860.
        login: "user:password" of --api-auth, or None.
        checkpoint: a title, name or hash of its list; None for the one that is loaded.

    Raises:
        InputError: nobody answers there, or there is no such checkpoint.
    """

    def __init__(self, url: str, *, login: str | None = None, checkpoint: str | None = None) -> None:
        if not url.startswith(("http://", "https://")):
            raise InputError(f"{url!r} is no address of a WebUI. Give one such as http://127.0.0.1:7860.")
        self._url = url.rstrip("/")
        self._headers = {"Content-Type": "application/json"}
        if login:
            self._headers["Authorization"] = "Basic " + base64.b64encode(login.encode()).decode()
        known = self._ask("/sdapi/v1/sd-models")
        wanted = checkpoint or self._ask("/sdapi/v1/options").get("sd_model_checkpoint")
        found = next((model for model in known if wanted in _names_of(model)), None)
        if found is None:
            names = ", ".join(str(model.get("model_name")) for model in known[:_NAMED]) or "none"
            raise InputError(f"The WebUI has no checkpoint {wanted!r} (it has {names}).")
        self._model: Mapping[str, Any] = found

    @property
    def facts(self) -> Mapping[str, str]:
        """See `Artist`."""
        return {"checkpoint": str(self._model["model_name"]), "checkpoint hash": str(self._model.get("hash") or "")}

    def draw(self, prompt: str, seed: int, look: Look) -> tuple[Image, str]:
        """See `Artist`; the WebUI keeps no file of its own."""
        from PIL import Image as PIL

        size = {"width": look.side_px, "height": look.side_px} if look.side_px else {}
        body = {
            "prompt": prompt,
            "negative_prompt": look.negative,
            "steps": look.steps,
            "cfg_scale": look.cfg,
            "sampler_name": look.sampler,
            "seed": seed,
            "save_images": False,
            "override_settings": {"sd_model_checkpoint": self._model["title"]},
            **size,
        }
        answer = self._ask("/sdapi/v1/txt2img", body)
        try:
            info = json.loads(answer["info"])
            place = int(info.get("index_of_first_image", 0))
            raw = base64.b64decode(answer["images"][place].split(",", 1)[-1])
            with PIL.open(io.BytesIO(raw)) as opened:
                return opened.convert("RGB"), str(info["infotexts"][place])
        except (KeyError, IndexError, TypeError, ValueError, OSError, binascii.Error) as error:
            raise InputError(f"{self._url} gave no picture of {prompt[:60]!r} ({type(error).__name__}).") from error

    def _ask(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._url + path, data, self._headers)
        try:
            with urllib.request.urlopen(request, timeout=_QUICK_S if body is None else _DRAW_S) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            told = error.read(400).decode(errors="replace")
            why = "its login is --webui-login user:password" if error.code in (401, 403) else told
            raise InputError(f"{self._url}{path} answers {error.code}: {why}.") from error
        except (OSError, ValueError) as error:
            raise InputError(f"No WebUI answers at {self._url} ({error}). Start it with --api.") from error


def _names_of(model: Mapping[str, Any]) -> set[str | None]:
    return {model.get("title"), model.get("model_name"), model.get("hash"), model.get("sha256")} - {None, ""}
