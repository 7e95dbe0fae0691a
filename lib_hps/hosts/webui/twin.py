"""What the always-visible twin of the script does: a selectable script gets no hooks, "score every image" needs some.

A picture is judged when the WebUI writes its infotext: after hires fix, refiner, face restoration and what other
extensions do to it, whatever their order; a grid has no such moment and is never judged.
"""

from __future__ import annotations

from typing import Any

from modules import shared

from lib_hps.rerank import score_text

from .drawing import draw_label
from .generate import notes_of
from .options import SCORER_KEY
from .scorers import ScorerHolder
from .xyz import SCORER_ATTRIBUTE

KEY = "HPS"
_ATTRIBUTE = "hps_every_image"


class EveryImage:
    """Scores the final pictures of one generation, each when its infotext is first written."""

    def __init__(self, holder: ScorerHolder, scorer: str) -> None:
        self._holder, self._scorer = holder, scorer
        self._pending: dict[tuple[int, int], Any] = {}
        self._scores: dict[tuple[int, int], float | None] = {}
        self.problem = ""

    def note(self, p: Any, pp: Any) -> None:
        """Remember the hook's parameter, not its picture: what other extensions put there later is the final one."""
        place = (p.iteration, p.batch_index)
        self._pending[place] = pp
        self._scores.pop(place, None)

    @property
    def first_score(self) -> float | None:
        """Of the first picture, the one that a plot shows."""
        return self._scores.get((0, 0))

    def __call__(self, p: Any, index: int, use_main_prompt: bool = False, **_: Any) -> str | None:
        """The value of `HPS` in the infotext of one picture; None for the grid's."""
        place = (p.iteration, index)
        if use_main_prompt or (place not in self._pending and place not in self._scores):
            return None
        if place not in self._scores:
            image = self._pending.pop(place).image
            judged = self._holder.judge(self._scorer, [image], [p.prompts[index]]) if not self.problem else None
            self.problem = judged.problem if judged else self.problem
            self._scores[place] = judged.scores[0] if judged else None
        score = self._scores[place]
        return None if score is None else score_text(score)


def start(p: Any, holder: ScorerHolder, *, is_asked: bool, scorer: str) -> None:
    """Before a generation: arrange that every picture gets its score, if the setting or the request wants it."""
    of_axis = getattr(p, SCORER_ATTRIBUTE, "")
    is_wanted = is_asked or of_axis or getattr(shared.opts, "hps_score_every_image", False)
    if not is_wanted or notes_of(p) is not None:
        return
    name = of_axis or scorer or getattr(shared.opts, "hps_scorer", "") or "hps-v2.1"
    every = EveryImage(holder, name)
    setattr(p, _ATTRIBUTE, every)
    # a dictionary of its own: the cells of a plot share theirs
    p.extra_generation_params = {**p.extra_generation_params, KEY: every, SCORER_KEY: name}


def note_image(p: Any, pp: Any) -> None:
    """A picture went through the last of the WebUI's own steps."""
    every = getattr(p, _ATTRIBUTE, None)
    if every is not None:
        every.note(p, pp)


def note_batch(p: Any, batch_number: int) -> None:
    """A batch ended; a rerank wants to know how."""
    notes = notes_of(p)
    if notes is not None:
        notes.note(batch_number)


def finish(p: Any, processed: Any, holder: ScorerHolder) -> None:
    """After a generation: leave the GPU, and say once why there are no scores."""
    every = getattr(p, _ATTRIBUTE, None)
    if every is None:
        return
    holder.rest(keep_loaded=bool(getattr(shared.opts, "hps_keep_loaded", False)))
    first = processed.index_of_first_image
    score = every.first_score
    if getattr(p, SCORER_ATTRIBUTE, "") and score is not None and len(processed.images) > first:
        processed.images[first] = draw_label(processed.images[first], score_text(score))
    if every.problem:
        processed.comments += f"HPS: the pictures were not scored. {every.problem}\n"
