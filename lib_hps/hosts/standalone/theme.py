"""The look: system fonts, a calm ground, one accent; nothing comes from the network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

CSS = Path(__file__).with_name("app.css")


def make_theme() -> Any:
    """Gradio's Base theme in the project's colours."""
    import gradio as gr

    fonts = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"]
    mono = ["ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace"]
    theme = gr.themes.Base(
        primary_hue=gr.themes.colors.teal,
        secondary_hue=gr.themes.colors.teal,
        neutral_hue=gr.themes.colors.stone,
        spacing_size=gr.themes.sizes.spacing_sm,
        radius_size=gr.themes.sizes.radius_md,
        text_size=gr.themes.sizes.text_md,
        font=fonts,
        font_mono=mono,
    )
    return theme.set(
        body_background_fill="#f6f5f2",
        body_background_fill_dark="#15171b",
        background_fill_primary="#ffffff",
        background_fill_primary_dark="#1e2127",
        background_fill_secondary="#f1efeb",
        background_fill_secondary_dark="#191c21",
        block_background_fill="#ffffff",
        block_background_fill_dark="#1e2127",
        block_border_color="#e2dfd8",
        block_border_color_dark="#2d3139",
        block_border_width="1px",
        block_shadow="none",
        block_label_background_fill="transparent",
        block_label_background_fill_dark="transparent",
        block_label_border_width="0px",
        block_label_text_color="#6b6a66",
        block_label_text_color_dark="#9a9fa9",
        block_title_text_weight="500",
        block_title_text_color="#57554f",
        block_title_text_color_dark="#a5aab4",
        input_background_fill="#fbfaf8",
        input_background_fill_dark="#15171b",
        input_border_color="#dcd8d0",
        input_border_color_dark="#343943",
        border_color_primary="#e2dfd8",
        border_color_primary_dark="#2d3139",
        body_text_color="#22242a",
        body_text_color_dark="#e6e7ea",
        button_primary_background_fill="#0f766e",
        button_primary_background_fill_hover="#0d6660",
        button_primary_background_fill_dark="#14a394",
        button_primary_background_fill_hover_dark="#18b5a5",
        button_primary_text_color="#ffffff",
        button_primary_text_color_dark="#06201d",
        button_secondary_background_fill="#ebe8e2",
        button_secondary_background_fill_dark="#2a2e36",
        color_accent="#0f766e",
        button_large_text_weight="500",
        button_small_text_weight="500",
    )
