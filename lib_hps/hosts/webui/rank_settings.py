"""A press of Generate as a session knows it: the settings that every host has, and in words what else counts here."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

from modules import sd_models, shared

from . import features

_DEFAULT_SAMPLER = "Euler a"
# attributes of the processing object that change the picture: label in the record, attribute, value that says nothing
_EXTRAS: tuple[tuple[str, str, tuple[Any, ...]], ...] = (
    ("Restore faces", "restore_faces", (None, False)),
    ("Tiling", "tiling", (None, False)),
    ("Refiner", "refiner_checkpoint", (None, "", "None")),
    ("Refiner switch at", "refiner_switch_at", (None,)),
    ("Eta", "eta", (None,)),
    ("Sigma churn", "s_churn", (None, 0.0)),
)
_IMG2IMG = (
    ("Denoising strength", "denoising_strength"),
    ("Resize mode", "resize_mode"),
    ("Mask blur", "mask_blur_x"),
    ("Masked content", "inpainting_fill"),
    ("Only masked", "inpaint_full_res"),
    ("Mask mode", "inpainting_mask_invert"),
)
_OPTIONS = (
    ("Clip skip", "CLIP_stop_at_last_layers", 1),
    ("RNG", "randn_source", "GPU"),
    ("ENSD", "eta_noise_seed_delta", 0),
    ("VAE", "sd_vae", "Automatic"),
)


def settings_of(p: Any) -> dict[str, Any]:
    """The session's settings for what `p` would draw, styles in their places."""
    styles = shared.prompt_styles
    more = ", ".join(f"{label}: {value}" for label, value in _more(p))
    return {
        "prompt": styles.apply_styles_to_prompt(p.prompt or "", p.styles or []),
        "negative": styles.apply_negative_styles_to_prompt(p.negative_prompt or "", p.styles or []),
        "sampler": _sampler(p),
        "model": model_name(p),
        "steps": p.steps,
        "width": p.width,
        "height": p.height,
        "cfg": float(p.cfg_scale),
        "more": more,
    }


def _sampler(p: Any) -> str:
    scheduler = getattr(p, "scheduler", None)
    name = p.sampler_name or _DEFAULT_SAMPLER
    return name if scheduler in (None, "", "Automatic") else f"{name} {scheduler}"


def model_name(p: Any = None) -> str:
    """The checkpoint's name without folder, hash and ending, as infotexts have it."""
    wanted = features.setting(p, "sd_model_checkpoint", "")
    found = sd_models.get_closet_checkpoint_match(wanted) if wanted else None
    if found is None:
        found = getattr(getattr(sd_models.model_data, "sd_model", None), "sd_checkpoint_info", None)
    return str(getattr(found, "name_for_extra", wanted))


def _more(p: Any) -> Iterator[tuple[str, Any]]:
    for label, option, usual in _OPTIONS:
        value = features.setting(p, option, usual)
        if value != usual:
            yield label, value
    if p.subseed_strength:
        yield "Variation seed", f"{p.subseed} at {p.subseed_strength:g}"
    if p.seed_resize_from_h > 0 and p.seed_resize_from_w > 0:
        yield "Seed resize from", f"{p.seed_resize_from_w}x{p.seed_resize_from_h}"
    for label, name, silent in _EXTRAS:
        value = getattr(p, name, None)
        if value not in silent:
            yield label, value
    images = [image for image in getattr(p, "init_images", None) or () if image is not None]
    if images:
        yield "Init image", _hash(images)
        mask = getattr(p, "image_mask", None)
        names = _IMG2IMG if mask is not None else _IMG2IMG[:2]
        yield from ((label, getattr(p, name, None)) for label, name in names)
        if mask is not None:
            yield "Mask", _hash([mask])


def _hash(images: Sequence[Any]) -> str:
    digest = hashlib.sha256()
    for image in images:
        digest.update(f"{image.mode}{image.size}".encode() + image.tobytes())
    return digest.hexdigest()[:10]
