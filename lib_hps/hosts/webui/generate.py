"""Generating candidates through the WebUI, round by round, with saving left to us."""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator, Sequence
from typing import Any

from modules import processing, shared

from . import features
from .notes import attach
from .pictures import Picture, Round, read_round, rescue_round

log = logging.getLogger(__name__)


def own_copy(p: Any) -> Any:
    """A copy for one `process_images` that leaves `p` as it is."""
    own = copy.copy(p)
    own.styles = list(p.styles or [])
    own.extra_generation_params = dict(p.extra_generation_params)
    own.override_settings = dict(p.override_settings)
    if hasattr(own, "extra_result_images"):  # what extensions add; a copy would share the list
        own.extra_result_images = []
    return own


def _unsaved_copy(p: Any) -> Any:
    own = own_copy(p)
    own.do_not_save_samples = own.do_not_save_grid = True
    return own


def process(own: Any, *, first_position: int) -> Round:
    """One `process_images`; what was finished before a failure (not enough memory, NaNs) comes out as well."""
    notes = attach(own)
    try:
        processed = processing.process_images(own)
    except Exception as error:  # whatever it was, the finished pictures matter more
        log.exception("generation failed")
        return rescue_round(own, notes, error, first_position=first_position)
    return read_round(processed, own, notes, first_position=first_position)


def generate_round(p: Any, *, batches: int, done: int) -> Round:
    """`batches` batches; seeds go on where the `done` pictures before stopped, as within one generation."""
    own = _unsaved_copy(p)
    own.n_iter = batches
    if p.subseed_strength == 0:
        own.seed = int(p.seed) + done
    own.subseed = int(p.subseed) + done
    return process(own, first_position=done)


def generate_rounds(p: Any, plan: Sequence[int]) -> Iterator[Round]:
    """What each round gave, until Interrupt or a failure; the caller may stop earlier."""
    processing.fix_seed(p)
    _count_jobs(sum(plan), of_host=p.n_iter)
    done = 0
    for number, batches in enumerate(plan, start=1):
        if features.should_stop():
            return
        if len(plan) > 1:
            shared.state.job = f"Batch {number} out of {len(plan)}"
        new = generate_round(p, batches=batches, done=done)
        done += batches * p.batch_size
        yield new
        if new.failure is not None:
            return


def _count_jobs(batches: int, *, of_host: int) -> None:
    """Tell the progress bar how much there is to do; img2img Batch has counted `of_host` batches for each picture."""
    state = shared.state
    state.job_count = batches if state.job_count < 0 else state.job_count + batches - of_host


def with_hires(p: Any, picture: Picture) -> Round:
    """The same picture drawn again with hires fix, from its own seed and prompt.

    The first pass is repeated instead of upscaling the finished picture: so the infotext alone gives it back.
    """
    own = _unsaved_copy(p)
    own.enable_hr, own.n_iter, own.batch_size = True, 1, 1
    own.prompt, own.negative_prompt = picture.prompt, picture.negative
    own.seed, own.subseed = picture.seed, picture.subseed
    styles = shared.prompt_styles
    if p.hr_prompt:
        own.hr_prompt = styles.apply_styles_to_prompt(p.hr_prompt, p.styles)
    if p.hr_negative_prompt:
        own.hr_negative_prompt = styles.apply_negative_styles_to_prompt(p.hr_negative_prompt, p.styles)
    own.styles = []
    return process(own, first_position=picture.position)
