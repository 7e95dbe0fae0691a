"""What the host can do: found by looking at it, never by its name. What each fork lacks stands here, and only here.

- `modules.devices.get_device_for`: A1111 and its forks; elsewhere torch's best device is taken.
- `Script.postprocess_image_after_composite`: A1111 from 1.8; older ones and SD.Next have `postprocess_image` only, so
  inpainting "only masked" is scored before it is pasted into the whole picture there.
- `cmd_opts.lowvram`, `medvram`: missing on Forge, which manages memory by itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from modules import devices, paths, shared


def device() -> str:
    """The device on which the host would run a task called hps; `--use-cpu hps` or `all` is honoured."""
    chosen = getattr(shared.opts, "hps_device", "auto")
    if chosen != "auto":
        return str(chosen)
    find = getattr(devices, "get_device_for", None)
    return str(find("hps")) if find else "auto"


def is_short_of_memory() -> bool:
    """True where the user asked the WebUI to spare GPU memory."""
    flags = ("lowvram", "medvram", "medvram_sdxl")
    return any(bool(getattr(shared.cmd_opts, flag, False)) for flag in flags)


def weights_dir() -> Path:
    """`--hps-dir`, else models/HPS beside the host's other models."""
    given = getattr(shared.cmd_opts, "hps_dir", None)
    return Path(given) if given else Path(paths.models_path) / "HPS"


def has_after_composite(script_class: type[Any]) -> bool:
    """True where scripts see the picture after it was pasted into the one it was cut from."""
    return hasattr(script_class, "postprocess_image_after_composite")


def should_stop() -> bool:
    """True after Interrupt; with several batches the button only asks to stop after the current one."""
    return bool(shared.state.interrupted or getattr(shared.state, "stopping_generation", False))


def is_incomplete() -> bool:
    """True if the pictures of the batch that just ended were cut short."""
    return bool(shared.state.interrupted or shared.state.skipped)
