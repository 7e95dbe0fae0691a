"""What the always-visible twin sees while a rerank generates; the selectable script itself gets no hooks."""

from __future__ import annotations

from typing import Any

from PIL import Image

from . import features

_ATTRIBUTE = "hps_round"


class RoundNotes:
    """Of one `process_images`: which pictures were finished, and which batches were cut short.

    Attributes:
        incomplete: numbers of the batches that Interrupt or Skip ended.
        finals: the last hook's parameters by (batch, place in the batch); what other extensions put into them later
            is in them too.
    """

    def __init__(self) -> None:
        self.incomplete: set[int] = set()
        self.finals: dict[tuple[int, int], Any] = {}

    def note_batch(self, batch_number: int) -> None:
        """Remember how the batch that just ended, ended."""
        if features.is_incomplete():
            self.incomplete.add(batch_number)

    def note_image(self, p: Any, pp: Any) -> None:
        """Remember a picture; a later hook's word replaces an earlier one's."""
        self.finals[p.iteration, p.batch_index] = pp

    def final_images(self) -> list[Image.Image]:
        """The finished pictures in the order of generation."""
        return [self.finals[place].image for place in sorted(self.finals)]


def attach(p: Any) -> RoundNotes:
    """Have the twin take notes of what `p` generates."""
    notes = RoundNotes()
    setattr(p, _ATTRIBUTE, notes)
    return notes


def notes_of(p: Any) -> RoundNotes | None:
    """The notes of the rerank to which `p` belongs, None for any other generation."""
    return getattr(p, _ATTRIBUTE, None)
