"""The mode "Rerank": generate, judge the final pictures, sort over all batches, filter, and only then save."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from modules import shared
from PIL import Image

from lib_hps.rerank import Selection, best_first, is_enough, is_score, plan_rounds, score_text, select

from . import features, saving
from .generate import generate_rounds, with_hires
from .options import OPTIONS_KEY, SAVE_ALL, SAVE_APART, SCORER_KEY, SCRIPT_TITLE, Options
from .pictures import Picture, write_score
from .result import Shown, processed_of
from .scorers import ScorerHolder

JUDGED_AT_ONCE = 8  # between these Interrupt is looked at


@dataclass
class Rerank:
    """One press of Generate.

    Attributes:
        p: the WebUI's processing object; its pictures are made by copies of it.
        draws_labels: draw rank and score on what is shown; None: as the settings have it.
        additions: pictures of other extensions, shown behind the generated ones and never judged.
    """

    p: Any
    options: Options
    holder: ScorerHolder
    draws_labels: bool | None = None
    additions: list[Image.Image] = field(default_factory=list)
    _problem: str = ""

    def __post_init__(self) -> None:
        if getattr(self.p, "txt2img_upscale", False):  # the gallery's own button: one chosen picture, wanted as it is
            self.options = replace(
                self.options, candidates=0, keep=0, minimum_kind="None", stops_early=False, hires_for_kept=False
            )

    def __call__(self) -> Any:
        """Run it; returns the WebUI's `Processed`, best picture first."""
        p, options = self.p, self.options
        p.extra_generation_params.update(
            {"Script": SCRIPT_TITLE, SCORER_KEY: options.scorer, OPTIONS_KEY: options.to_json()}
        )
        draws_hires = options.hires_for_kept and bool(getattr(p, "enable_hr", False))
        if draws_hires:
            p.enable_hr = False
        with features.own_settings(p):
            try:
                pictures = self._generate()
            finally:
                if draws_hires:
                    p.enable_hr = True
            return self.finish(pictures, draws_hires=draws_hires)

    def finish(self, pictures: Sequence[Picture], *, draws_hires: bool = False) -> Any:
        """All that follows on generating and judging: sort, filter, save, show."""
        selection = select([picture.score for picture in pictures], self.options.wanted)
        kept = [pictures[i] for i in selection.kept]
        rejected = [pictures[i] for i in selection.rejected]
        try:
            if draws_hires:
                kept = self._draw_hires(kept)
        finally:
            self.holder.rest(keep_loaded=bool(getattr(shared.opts, "hps_keep_loaded", False)))
        self._rank(kept, rejected)
        with features.own_settings(self.p):
            self._save(kept, rejected)
            self._tell(pictures, kept, selection)
            draws = (
                features.setting(self.p, "hps_draw_score", False) if self.draws_labels is None else self.draws_labels
            )
            return processed_of(self.p, Shown(kept, self.additions, draws_labels=bool(draws)))

    def _generate(self) -> list[Picture]:
        options, p = self.options, self.p
        stops_early = options.stops_early and options.wanted.minimum_kind == "score"
        plan = plan_rounds(
            candidates=options.candidates, batch_count=p.n_iter, batch_size=p.batch_size, stops_early=stops_early
        )
        pictures: list[Picture] = []
        for new in generate_rounds(p, plan):
            pictures += new.pictures
            self.additions += new.additions
            if new.failure is not None and not pictures:
                raise new.failure
            self.judge(pictures if self._is_relative else new.pictures)
            if new.failure is not None:
                self._comment_failure(new.failure, f"the {len(pictures)} finished pictures are here")
            if stops_early and is_enough([picture.score for picture in pictures], options.wanted):
                break
        return pictures

    @property
    def _is_relative(self) -> bool:
        """True for a scorer that judges pictures among those of the same call only."""
        return self.options.scorer.startswith("ensemble:")

    def judge(self, pictures: Sequence[Picture]) -> None:
        """Give scores to the finished ones among `pictures`; Interrupt while it works ends it."""
        finished = [picture for picture in pictures if not picture.is_incomplete]
        was_stopped, step = features.should_stop(), len(finished) if self._is_relative else JUDGED_AT_ONCE
        for start in range(0, len(finished), max(1, step)):
            if self._problem or (features.should_stop() and not was_stopped):
                break
            shared.state.textinfo = f"Scoring picture {start + 1} of {len(finished)}"
            some = finished[start : start + step]
            judged = self.holder.judge(
                self.options.scorer, [picture.image for picture in some], [picture.prompt for picture in some]
            )
            for picture, score in zip(some, judged.scores, strict=True):
                picture.score = score
            if judged.problem:
                self.p.comment(f"HPS: not all pictures were scored. {judged.problem}")
                if not any(is_score(score) for score in judged.scores):
                    self._problem = judged.problem  # of the scorer, not of one prompt: it will not go away
        shared.state.textinfo = None

    def _draw_hires(self, kept: Sequence[Picture]) -> list[Picture]:
        """The kept pictures with hires fix, judged and sorted anew; what Interrupt left out stays as it is."""
        state = shared.state
        state.processing_has_refined_job_count = True  # each of them counts twice, and we count them here
        state.job_count += 2 * len(kept)
        drawn: list[Picture] = []
        failure: Exception | None = None
        for picture in kept:
            new = None
            if failure is None and not picture.is_incomplete and not features.should_stop():
                result = with_hires(self.p, picture)
                failure = result.failure
                new = next((one for one in result.pictures if not one.is_incomplete), None)
                self.additions += result.additions
            drawn.append(new or picture)
        if failure is not None:
            self._comment_failure(failure, "pictures that hires fix did not reach are shown as they were")
        self.judge(drawn)
        return [drawn[i] for i in best_first([picture.score for picture in drawn])]

    def _rank(self, kept: Sequence[Picture], rejected: Sequence[Picture]) -> None:
        scored = [picture for picture in kept if picture.score is not None]
        for rank, picture in enumerate([*scored, *rejected], start=1):
            write_score(picture, scorer=self.options.scorer, rank=rank, total=len(scored) + len(rejected))

    def _save(self, kept: Sequence[Picture], rejected: Sequence[Picture]) -> None:
        do_not_save, rest = self.p.do_not_save_samples, self.options.rest
        jobs = [(picture, False) for picture in kept]
        if rest in (SAVE_ALL, SAVE_APART):
            jobs += [(picture, rest == SAVE_APART) for picture in rejected]
        for picture, is_apart in jobs:
            if not saving.is_wanted(picture, do_not_save=do_not_save):
                continue
            try:
                saving.save(picture, to_reject_folder=is_apart)
            except OSError as error:
                self._comment_failure(error, "pictures that could not be saved are in the gallery")

    def _tell(self, pictures: Sequence[Picture], kept: Sequence[Picture], selection: Selection) -> None:
        """Say in the line below the gallery why it is empty."""
        if pictures and not kept:
            best = max(picture.score for picture in pictures if picture.score is not None)
            least = score_text(selection.threshold or 0.0)
            self.p.comment(f"HPS: none of {len(pictures)} pictures reached {least}; the best has {score_text(best)}.")

    def _comment_failure(self, failure: Exception, rest: str) -> None:
        self.p.comment(f"HPS: {type(failure).__name__}: {failure}; {rest}.")
