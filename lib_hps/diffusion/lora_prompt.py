"""`<lora:name:1>` in a prompt: which file, how strong, and the prompt without it, as the WebUI reads it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path

from lib_hps.diffusion.lora import LoraUse
from lib_hps.diffusion.lora_file import addnet_hash
from lib_hps.errors import InputError

_NETWORK = re.compile(r"<(\w+):([^>]+)>")  # A1111, modules/extra_networks.py
_KINDS = ("lora", "lyco")
_SUFFIXES = (".safetensors", ".pt", ".ckpt")


class LoraFolder:
    """A folder of LoRA files, searched with the folders in it, as the WebUI's models/Lora.

    Args:
        path: None for no folder.
        files: known by these names, wherever they lie.
    """

    def __init__(self, path: Path | None, files: Mapping[str, Path] | None = None) -> None:
        self._path, self._named = path, dict(files or {})
        self._hashes: dict[tuple[Path, int], str] = {}

    def read(self, prompt: str) -> tuple[str, tuple[LoraUse, ...]]:
        """The prompt without `<lora:...>`, and the files that it asks for.

        Raises:
            InputError: a file that is not there, a strength that is no number, or another kind of network.
        """
        uses = []
        for kind, arguments in _NETWORK.findall(prompt):
            if kind not in _KINDS:
                raise InputError(f"The prompt asks for <{kind}:{arguments}>, which cannot be drawn here. Take it out.")
            uses.append(self._use(arguments.split(":")))
        return _NETWORK.sub("", prompt), tuple(uses)

    def hashes(self, uses: tuple[LoraUse, ...]) -> Mapping[str, str]:
        """The infotext's "Lora hashes", nothing where no LoRA was asked for."""
        words = [f"{use.path.stem.replace(':', '').replace(',', '')}: {self._hash(use.path)}" for use in uses]
        return {"Lora hashes": ", ".join(dict.fromkeys(words))} if words else {}

    def _use(self, items: list[str]) -> LoraUse:
        """`name:text:unet`, or with `te=` and `unet=`; one strength serves both."""
        named = dict(item.split("=", 1) for item in items if "=" in item)
        placed = [item for item in items if "=" not in item]
        if not placed or set(named) - {"te", "unet"}:
            raise InputError(f"<lora:{':'.join(items)}> is not understood. Write <lora:name:1>.")
        text = named.get("te", placed[1] if len(placed) > 1 else "1")
        unet = named.get("unet", placed[2] if len(placed) > 2 else text)
        return LoraUse(self.find(placed[0]), unet=_strength(unet), text=_strength(text))

    def find(self, name: str) -> Path:
        """The file of that name, with or without its suffix.

        Raises:
            InputError: there is none.
        """
        if name in self._named:
            return self._named[name]
        if self._path is None:
            raise InputError(f"The prompt asks for the LoRA {name!r}, but no folder of LoRAs was given (--lora-dir).")
        files = sorted(path for path in self._path.rglob("*") if path.suffix.lower() in _SUFFIXES)
        found = next((path for path in files if name in (path.stem, path.name)), None)
        if found is None:
            known = ", ".join(path.stem for path in files[:5]) or "none"
            raise InputError(f"There is no LoRA {name!r} in {self._path} (there: {known}).")
        return found

    def _hash(self, path: Path) -> str:
        key = (path, path.stat().st_mtime_ns)
        if key not in self._hashes:
            self._hashes[key] = addnet_hash(path)[:12]
        return self._hashes[key]


def _strength(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"The strength of a LoRA is {text!r}; give a number such as 0.8.")
    return value
