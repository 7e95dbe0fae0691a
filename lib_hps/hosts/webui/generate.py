"""Generating candidates through the WebUI, round by round, with saving left to us."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any

from modules import processing, shared

from . import features
from .pictures import Picture, pictures_of

RUN_ATTRIBUTE = "hps_batches"


class BatchNotes:
    """Which batches of the round were cut short; the always-visible twin fills it in."""

    def __init__(self) -> None:
        self.incomplete: set[int] = set()

    def note(self, batch_number: int) -> None:
        """Remember how the batch that just ended, ended."""
        if features.is_incomplete():
            self.incomplete.add(batch_number)


def notes_of(p: Any) -> BatchNotes | None:
    """The notes of the rerank to which `p` belongs, None for any other generation."""
    return getattr(p, RUN_ATTRIBUTE, None)


def _unsaved_copy(p: Any) -> Any:
    """A copy for one `process_images` that saves nothing and leaves `p` as it is."""
    own = copy.copy(p)
    own.styles = list(p.styles or [])
    own.extra_generation_params = dict(p.extra_generation_params)
    own.override_settings = dict(p.override_settings)
    own.do_not_save_samples = own.do_not_save_grid = True
    setattr(own, RUN_ATTRIBUTE, BatchNotes())
    return own


def generate_round(p: Any, *, batches: int, done: int) -> list[Picture]:
    """`batches` batches; seeds go on where the `done` pictures before stopped, as within one generation."""
    own = _unsaved_copy(p)
    own.n_iter = batches
    if p.subseed_strength == 0:
        own.seed = int(p.seed) + done
    own.subseed = int(p.subseed) + done
    processed = processing.process_images(own)
    return pictures_of(processed, own, first_position=done, incomplete_batches=getattr(own, RUN_ATTRIBUTE).incomplete)


def generate_rounds(p: Any, plan: Sequence[int]) -> Iterator[list[Picture]]:
    """The pictures of each round, until Interrupt; the caller may stop earlier."""
    processing.fix_seed(p)
    shared.state.job_count = sum(plan)
    done = 0
    for number, batches in enumerate(plan, start=1):
        if features.should_stop():
            return
        if len(plan) > 1:
            shared.state.job = f"Batch {number} out of {len(plan)}"
        pictures = generate_round(p, batches=batches, done=done)
        done += batches * p.batch_size
        yield pictures


def with_hires(p: Any, picture: Picture) -> Picture | None:
    """The same picture drawn again with hires fix, from its own seed and prompt; None where Interrupt came first.

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
    processed = processing.process_images(own)
    notes = getattr(own, RUN_ATTRIBUTE)
    found = pictures_of(processed, own, first_position=picture.position, incomplete_batches=notes.incomplete)
    if not found or found[0].is_incomplete:
        return None
    return found[0]
