"""The section "HPS" of the WebUI's settings; names begin with hps_."""

from __future__ import annotations

from typing import Any

import gradio as gr
from modules import shared

from . import scorers

_SECTION = ("hps", "HPS")


def _scorer_dropdown(**given: Any) -> Any:
    """A component that also takes trained files and ensembles.

    The host updates a setting's component with the arguments it was made with, and gradio 3 cannot update this one: an
    argument `allow_custom_value` among them breaks all settings of the page.
    """
    return gr.Dropdown(allow_custom_value=True, **given)


def add_settings() -> None:
    """Declare the settings; called by the WebUI's on_ui_settings."""

    def add(name: str, default: object, label: str, info: str, component: Any = None, args: Any = None) -> None:
        option = shared.OptionInfo(default, label, component, args, section=_SECTION)
        shared.opts.add_option(name, option.info(info))

    add(
        "hps_scorer", "hps-v2.1", "Scorer", "chosen at first in the script HPS, and for every image",
        _scorer_dropdown, lambda: {"choices": scorers.choices()},
    )  # fmt: skip
    add("hps_score_every_image", False, "Score every image", "writes HPS into the infotext of every picture generated")
    add("hps_draw_score", False, "Draw rank and score on pictures in the gallery", "saved files stay as they are")
    add(
        "hps_file_suffix",
        False,
        "Add the score to file names",
        "of a rerank; or use [hps_score] and [hps_rank] in the pattern",
    )
    add("hps_keep_loaded", False, "Keep the scorer in GPU memory", "never with --medvram or --lowvram")
    add(
        "hps_sessions_dir", "", "Folder of ranking sessions", "empty: outputs/hps; after a restart",
    )  # fmt: skip
    add(
        "hps_device", "auto", "Device", "auto: as the WebUI; `--use-cpu hps` keeps it off the GPU",
        gr.Radio, {"choices": ["auto", "cpu", "cuda", "mps"]},
    )  # fmt: skip
