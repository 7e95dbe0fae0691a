"""What the host can do: found by looking at it, never by its name. What each fork lacks stands here, and only here.

- `modules.devices.get_device_for`: A1111 and its forks; elsewhere torch's best device is taken.
- `Script.postprocess_image_after_composite`: A1111 from 1.8; older ones and SD.Next have `postprocess_image` only, so
  inpainting "only masked" is scored before it is pasted into the whole picture there.
- `modules.lowvram.send_everything_to_cpu`, `cmd_opts.lowvram`, `medvram`: missing on Forge, which does without.
- functions as infotext values: A1111 from 1.9 and Forge; elsewhere "score every image" is off.
- `ScriptPostprocessing.process_firstpass`: A1111 from 1.7; elsewhere Extras reads the prompt when the score is due.
- `Script.process_before_every_sampling`: A1111 from 1.7 and Forge; elsewhere noise recipes go in by way of `p.rng`.
- `sd_model.image_size`: the LDM classes of SD1; elsewhere the model is taken for one of real pictures.
- lists as infotext values: A1111 from 1.9 and Forge; elsewhere a session draws one picture at a time.
- `Options.set(..., is_api=, run_callbacks=)`, `OptionInfo.onchange`: A1111 and its forks.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from modules import devices, paths, processing, scripts, sd_models, shared


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


def make_room() -> None:
    """With `--medvram` or `--lowvram` move the generating model off the GPU; the host brings it back by itself."""
    if not is_short_of_memory():
        return
    try:
        from modules import lowvram
    except ImportError:
        return
    send = getattr(lowvram, "send_everything_to_cpu", None)
    if send is not None:
        send()
        devices.torch_gc()


def weights_dir() -> Path:
    """`--hps-dir`, else models/HPS beside the host's other models."""
    given = getattr(shared.cmd_opts, "hps_dir", None)
    return Path(given) if given else Path(paths.models_path) / "HPS"


def calls_infotext_functions() -> bool:
    """True where `extra_generation_params` may hold functions of the picture."""
    return "callable(" in inspect.getsource(processing.create_infotext)


def has_noise_hook() -> bool:
    """True where scripts are called with the initial noise before it is used."""
    return hasattr(scripts.Script, "process_before_every_sampling")


def is_tiny_model() -> bool:
    """True for a model whose pictures are smaller than 256 pixels a side: it falls apart where much is drawn anew."""
    side = native_cells()
    return side is not None and side < 256 // 8


def native_cells() -> int | None:
    """The side of the pictures that the model was trained on, in cells of 8 pixels, where it says so; loads nothing."""
    side = getattr(getattr(sd_models.model_data, "sd_model", None), "image_size", None)
    return side if isinstance(side, int) and side > 0 else None


def sessions_dir() -> Path:
    """Where sessions lie: beside the host's outputs, unless the settings name another folder."""
    given = str(getattr(shared.opts, "hps_sessions_dir", "") or "").strip()
    return Path(given) if given else Path(paths.data_path) / "outputs" / "hps"


def should_stop() -> bool:
    """True after Interrupt; with several batches the button only asks to stop after the current one."""
    return bool(shared.state.interrupted or getattr(shared.state, "stopping_generation", False))


def is_incomplete() -> bool:
    """True if the pictures of the batch that just ended were cut short."""
    return bool(shared.state.interrupted or shared.state.skipped)


def is_last_job() -> bool:
    """True while the last of the pictures that the host counted, or the only one, is worked on."""
    return shared.state.job_no >= shared.state.job_count or should_stop()


def selected_script(p: Any) -> str:
    """Title of the script chosen in the dropdown, "" for none."""
    runner, args = getattr(p, "scripts", None), getattr(p, "script_args", None) or (0,)
    titles = [script.title() for script in getattr(runner, "selectable_scripts", ())]
    chosen = args[0]
    return str(titles[chosen - 1]) if isinstance(chosen, int) and 0 < chosen <= len(titles) else ""


def setting(p: Any, name: str, default: Any) -> Any:
    """A setting as this generation has it: the request's `override_settings` first."""
    own = getattr(p, "override_settings", None) or {}
    return own.get(name, getattr(shared.opts, name, default))


@contextlib.contextmanager
def own_settings(p: Any) -> Iterator[None]:
    """The settings that the request overrides, for what is done outside of `process_images`: saving, the grid.

    Those that load models (they have an `onchange`) stay as they are. Behind us everything is as it was, also the
    settings that were never saved, which A1111 1.10.1 itself leaves overridden.
    """
    opts = shared.opts
    if not getattr(p, "override_settings_restore_afterwards", True):
        yield
        return
    labels = getattr(opts, "data_labels", {})
    wanted = {
        name: value
        for name, value in (p.override_settings or {}).items()
        if name in labels and getattr(labels[name], "onchange", None) is None
    }
    before = {name: opts.data[name] for name in wanted if name in opts.data}
    try:
        for name, value in wanted.items():
            opts.set(name, value, is_api=True, run_callbacks=False)
        yield
    finally:
        for name in wanted:
            opts.data.pop(name, None)
        opts.data.update(before)
