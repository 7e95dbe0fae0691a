"""What a rerank hands back: the WebUI's `Processed`, in which pictures, infotexts, seeds and prompts agree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from modules import images, processing, shared
from PIL import Image

from .drawing import draw_label
from .pictures import Picture

MESSAGE_KEY = "HPS message"


@dataclass(frozen=True)
class Shown:
    """What the gallery shows: the kept pictures, best first, and what other extensions added."""

    kept: Sequence[Picture]
    additions: Sequence[Image.Image]
    draws_labels: bool


def processed_of(p: Any, shown: Shown) -> Any:
    """The result of the whole run.

    Args:
        p: what the user started; its comments and its grid settings count.
    """
    kept = shown.kept
    made_by = kept[0].p if kept else p
    gallery = [_labelled(picture) if shown.draws_labels else picture.image for picture in kept]
    infotexts = [picture.infotext for picture in kept]
    grid = _grid(p, gallery, infotexts)
    for picture in kept:
        gallery += picture.extras
        infotexts += [picture.infotext] * len(picture.extras)
    gallery += shown.additions  # without infotexts, as the host leaves them
    if grid is not None:
        gallery.insert(0, grid)
        infotexts.insert(0, infotexts[0])
    result = processing.Processed(
        made_by,
        gallery,
        seed=kept[0].seed if kept else p.seed,
        subseed=kept[0].subseed if kept else p.subseed,
        info=infotexts[0] if infotexts else "",
        all_prompts=[picture.prompt for picture in kept],
        all_negative_prompts=[picture.negative for picture in kept],
        all_seeds=[picture.seed for picture in kept],
        all_subseeds=[picture.subseed for picture in kept],
        index_of_first_image=0 if grid is None else 1,
        infotexts=infotexts,
    )
    # the API's answer has no comments
    result.extra_generation_params = {**made_by.extra_generation_params, MESSAGE_KEY: "\n".join(p.comments)}
    return result


def _labelled(picture: Picture) -> Image.Image:
    return draw_label(picture.image, picture.label) if picture.label else picture.image


def _grid(p: Any, gallery: list[Any], infotexts: list[str]) -> Image.Image | None:
    """The grid of what is kept, best first, by the WebUI's own settings; None where it makes none."""
    opts = shared.opts
    if not gallery or p.do_not_save_grid or (len(gallery) < 2 and opts.grid_only_if_multiple):
        return None
    if not (opts.return_grid or opts.grid_save):
        return None
    grid: Image.Image = images.image_grid(gallery, p.batch_size)
    if opts.enable_pnginfo:
        grid.info["parameters"] = infotexts[0]
    if opts.grid_save:
        short = not opts.grid_extended_filename
        place = (p.outpath_grids, "grid", p.seed, p.prompt, opts.grid_format)
        images.save_image(grid, *place, info=infotexts[0], short_filename=short, p=p, grid=True)
    return grid if opts.return_grid else None
