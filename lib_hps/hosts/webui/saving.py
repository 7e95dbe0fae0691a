"""Writing pictures through the WebUI's own saving, so that its settings and other extensions have their say."""

from __future__ import annotations

import copy
import os
from typing import Any

from modules import images, shared

from lib_hps.rerank import file_suffix, score_text

from .pictures import Picture

REJECT_FOLDER = "hps-rejected"
_PATTERNS = ("hps_score", "hps_rank")
SCORE_OF_FILE = "hps_score_of_file"
"""Attribute of a processing object: a function of it that gives the score of the picture being saved, or None."""


def is_wanted(picture: Picture, *, do_not_save: bool) -> bool:
    """The WebUI's own rule: its settings, the request, and no pictures that Interrupt cut short unless asked for."""
    opts = shared.opts
    return bool(opts.samples_save and not do_not_save and (opts.save_incomplete_images or not picture.is_incomplete))


def save(picture: Picture, *, to_reject_folder: bool = False) -> None:
    """Save one picture with its infotext, named by the user's pattern, and its masks where the settings want them."""
    p = copy.copy(picture.p)
    p.iteration, p.batch_index = divmod(picture.position, p.batch_size)
    setattr(p, SCORE_OF_FILE, lambda _: picture.score)
    p.hps_rank = picture.place.partition("/")[0]
    folder = os.path.join(p.outpath_samples, REJECT_FOLDER) if to_reject_folder else p.outpath_samples
    suffix = file_suffix(picture.score) if getattr(shared.opts, "hps_file_suffix", False) else ""
    jobs = [(picture.image, suffix)]
    names = [name for name in ("mask", "mask_composite") if getattr(shared.opts, f"return_{name}", False)]
    if len(names) == len(picture.extras):
        jobs += [
            (image, f"{suffix}-{name.replace('_', '-')}")
            for name, image in zip(names, picture.extras, strict=True)
            if getattr(shared.opts, f"save_{name}", False)
        ]
    for image, ending in jobs:
        images.save_image(
            image,
            folder,
            "",
            picture.seed,
            picture.prompt,
            shared.opts.samples_format,
            info=picture.infotext,
            p=p,
            suffix=ending,
        )


def add_patterns() -> None:
    """Make `[hps_score]` and `[hps_rank]` known to the file name pattern."""

    def score(generator: Any, *_: Any) -> Any:
        find = getattr(generator.p, SCORE_OF_FILE, None)
        value = find(generator.p) if find else None
        return images.NOTHING_AND_SKIP_PREVIOUS_TEXT if value is None else score_text(value)

    def rank(generator: Any, *_: Any) -> Any:
        return getattr(generator.p, "hps_rank", "") or images.NOTHING_AND_SKIP_PREVIOUS_TEXT

    images.FilenameGenerator.replacements.update(zip(_PATTERNS, (score, rank), strict=True))


def remove_patterns() -> None:
    """Undo `add_patterns`."""
    for name in _PATTERNS:
        images.FilenameGenerator.replacements.pop(name, None)
