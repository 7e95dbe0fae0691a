"""What the always-visible twin of the script does: a selectable script gets no hooks, and three things need them.

- A rerank wants to know which pictures were finished, and how each batch ended (`notes`).
- A cell of the X/Y/Z plot with one of our axes is a rerank of its own (`cell`).
- "Score every image": a picture is judged when the WebUI writes its infotext, which is after hires fix, refiner, face
  restoration and what other extensions do to it, whatever their order; a grid has no such moment and is never judged.
"""

from __future__ import annotations

from typing import Any

from lib_hps.rerank import score_text

from . import cell, features
from .drawing import draw_label
from .notes import notes_of
from .options import SCORER_KEY
from .result import MESSAGE_KEY
from .saving import SCORE_OF_FILE
from .scorers import ScorerHolder, default_scorer

KEY = "HPS"
_ATTRIBUTE = "hps_every_image"
_PLOT = "x/y/z plot"


class EveryImage:
    """Scores the final pictures of one generation, each when its infotext is first written."""

    def __init__(self, holder: ScorerHolder, scorer: str) -> None:
        self._holder, self._scorer = holder, scorer
        self._pending: dict[tuple[int, int], Any] = {}
        self._scores: dict[tuple[int, int], float | None] = {}
        self._is_over = False
        self.problem = ""

    def note(self, p: Any, pp: Any) -> None:
        """Remember the hook's parameter, not its picture: what other extensions put there later is the final one."""
        place = (p.iteration, p.batch_index)
        self._pending[place] = pp
        self._scores.pop(place, None)

    def close(self) -> None:
        """The generation is over: infotexts written from now on are those of grids."""
        self._is_over = True

    def score_now(self, p: Any) -> float | None:
        """Of the picture that the WebUI is working on."""
        return self._scores.get((p.iteration, p.batch_index))

    @property
    def in_order(self) -> list[float | None]:
        """All scores so far, in the order of generation."""
        return [self._scores[place] for place in sorted(self._scores)]

    def __call__(self, p: Any, index: int, use_main_prompt: bool = False, **_: Any) -> str | None:
        """The value of `HPS` in the infotext of one picture; None for the grid's."""
        place = (p.iteration, index)
        if self._is_over or use_main_prompt or (place not in self._pending and place not in self._scores):
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
    if notes_of(p) is not None or cell.start(p, holder):
        return
    is_wanted = is_asked or features.setting(p, "hps_score_every_image", False)
    if not is_wanted or not features.calls_infotext_functions():
        return
    name = scorer or features.setting(p, "hps_scorer", "") or default_scorer()
    every = EveryImage(holder, name)
    setattr(p, _ATTRIBUTE, every)
    setattr(p, SCORE_OF_FILE, every.score_now)
    # a dictionary of its own: the cells of a plot share theirs
    p.extra_generation_params = {**p.extra_generation_params, KEY: every, SCORER_KEY: name}


def note_image(p: Any, pp: Any) -> None:
    """A picture went through the last of the WebUI's own steps."""
    every, notes = getattr(p, _ATTRIBUTE, None), notes_of(p)
    if every is not None:
        every.note(p, pp)
    if notes is not None:
        notes.note_image(p, pp)


def note_batch(p: Any, batch_number: int) -> None:
    """A batch ended; a rerank wants to know how."""
    notes = notes_of(p)
    if notes is not None:
        notes.note_batch(batch_number)


def finish(p: Any, processed: Any, holder: ScorerHolder) -> None:
    """After a generation: leave the GPU, and say once why there are no scores."""
    if cell.is_cell(p):
        cell.finish(p, processed, holder)
        return
    every = getattr(p, _ATTRIBUTE, None)
    if every is None:
        return
    every.close()
    holder.rest(keep_loaded=bool(features.setting(p, "hps_keep_loaded", False)))
    if features.selected_script(p).lower() == _PLOT:
        _label(processed, every.in_order)
    if every.problem:
        message = f"HPS: the pictures were not scored. {every.problem}"
        processed.comments += f"{message}\n"
        processed.extra_generation_params = {**processed.extra_generation_params, MESSAGE_KEY: message}


def _label(processed: Any, scores: list[float | None]) -> None:
    """Draw the scores on what a plot shows in its cell; a cell that shows a grid has them in its infotexts only."""
    if processed.index_of_first_image == 0 and scores and scores[0] is not None:
        processed.images[0] = draw_label(processed.images[0], score_text(scores[0]))
