"""Pictures from noise recipes through the WebUI's own `process_images`, which saves them as it saves any."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from modules import processing, shared

from lib_hps.noise import NoiseRecipe

from . import features
from .generate import own_copy, process
from .options import SCRIPT_TITLE
from .pictures import Picture
from .rank_noise import plan_noise
from .rank_options import NOISE_KEY

if TYPE_CHECKING:
    from PIL import Image

UPSCALER = "Lanczos"


@dataclass(frozen=True)
class Wish:
    """One picture.

    Attributes:
        seed: of the noise that samplers add in every step, and of the infotext.
        infotext: parameters to be written into it.
    """

    recipe: NoiseRecipe
    seed: int
    subseed: int
    infotext: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Made:
    """What came of a batch: the finished pictures by place, and what other extensions added."""

    pictures: dict[int, Picture]
    additions: list[Image.Image]


def batch_size(p: Any) -> int:
    """How many pictures may be drawn at once."""
    return max(1, int(p.batch_size)) if features.calls_infotext_functions() else 1


def draw_batch(p: Any, wishes: Sequence[Wish], *, change: Callable[[Any], None] = lambda _: None) -> Made:
    """Draw some pictures at once.

    Args:
        p: what the user started; it stays as it is.
        change: sets what is to be different on the copy that draws.

    Raises:
        HpsError: the host did not take the noise.
        Exception: as the host's, where nothing was finished.
    """
    own = own_copy(p)
    own.n_iter, own.batch_size = 1, len(wishes)
    own.seed, own.subseed = [wish.seed for wish in wishes], [wish.subseed for wish in wishes]
    own.do_not_save_grid = True
    written: dict[str, list[Any]] = {NOISE_KEY: [wish.recipe.format() for wish in wishes]}
    written |= {key: [wish.infotext.get(key) for wish in wishes] for key in wishes[0].infotext}
    said: dict[str, Any] = {key: values if len(wishes) > 1 else values[0] for key, values in written.items()}
    own.extra_generation_params |= {"Script": SCRIPT_TITLE, **said}
    change(own)
    plan = plan_noise(own, [wish.recipe for wish in wishes])
    made = process(own, first_position=0)
    if made.failure is not None:
        raise made.failure
    if plan.failure is not None or not features.should_stop():
        plan.check(batches=1)
    finished = {picture.position: picture for picture in made.pictures if not picture.is_incomplete}
    return Made(finished, made.additions)


def without_second_pass(own: Any) -> None:
    """Candidates are drawn at their first size."""
    if hasattr(own, "enable_hr"):
        own.enable_hr = False


def with_second_pass(width: int, height: int, strength: float) -> Callable[[Any], None]:
    """Hires fix at this size: as the form has it where it is on there, else with Lanczos, which keeps the picture."""

    def change(own: Any) -> None:
        if not own.enable_hr:
            own.hr_upscaler, own.hr_second_pass_steps = UPSCALER, 0
        own.enable_hr, own.denoising_strength = True, strength
        own.hr_resize_x, own.hr_resize_y = width, height
        state = shared.state
        if not state.processing_has_refined_job_count:  # each picture counts twice, and the host counts but once
            state.job_count += 1
            state.processing_has_refined_job_count = True

    return change


def drawn_over(picture: Image.Image, width: int, height: int, strength: float) -> Callable[[Any], None]:
    """In img2img: the picture itself is drawn over at this size; a mask has done its work by then."""

    def change(own: Any) -> None:
        own.init_images, own.image_mask, own.mask = [picture], None, None
        own.width, own.height, own.denoising_strength = width, height, strength

    return change


def wishes_of(p: Any, recipes: Sequence[NoiseRecipe], infotext: Mapping[str, str]) -> list[Wish]:
    """One picture for each recipe, with the seeds that the host would give to the pictures of `p`."""
    processing.fix_seed(p)
    seed, subseed = int(p.seed), int(p.subseed)
    step = 1 if p.subseed_strength == 0 else 0
    return [Wish(recipe, seed + step * i, subseed + i, infotext) for i, recipe in enumerate(recipes)]
