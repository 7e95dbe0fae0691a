"""The mode "Rerank": generate, judge the final pictures, sort over all batches, filter, and only then save."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from modules import images, processing, shared

from lib_hps.rerank import Selection, best_first, is_enough, plan_rounds, score_text, select

from . import features, saving
from .drawing import draw_label
from .generate import generate_rounds, with_hires
from .options import OPTIONS_KEY, SAVE_ALL, SAVE_APART, SCORER_KEY, SCRIPT_TITLE, Options
from .pictures import Picture, write_score
from .scorers import ScorerHolder


@dataclass
class Rerank:
    """One press of Generate.

    Attributes:
        p: the WebUI's processing object; its pictures are made by copies of it.
    """

    p: Any
    options: Options
    holder: ScorerHolder

    def __call__(self) -> Any:
        """Run it; returns the WebUI's `Processed`, best picture first."""
        p, options = self.p, self.options
        p.extra_generation_params.update(
            {"Script": SCRIPT_TITLE, SCORER_KEY: options.scorer, OPTIONS_KEY: options.to_json()}
        )
        draws_hires = options.hires_for_kept and bool(getattr(p, "enable_hr", False))
        if draws_hires:
            p.enable_hr = False
        try:
            pictures = self._generate()
            selection = select([picture.score for picture in pictures], options.wanted)
            kept = [pictures[i] for i in selection.kept]
            if draws_hires:
                kept = self._draw_hires(kept)
        finally:
            if draws_hires:
                p.enable_hr = True
            self.holder.rest(keep_loaded=bool(getattr(shared.opts, "hps_keep_loaded", False)))
        self._rank(pictures, kept, selection)
        rejected = [pictures[i] for i in selection.rejected]
        self._save(kept, rejected)
        self._tell(pictures, kept, selection)
        return self._processed(kept, made_by=pictures[0].p if pictures else p)

    def _generate(self) -> list[Picture]:
        options, p = self.options, self.p
        stops_early = options.stops_early and options.wanted.minimum_kind == "score"
        plan = plan_rounds(
            candidates=options.candidates, batch_count=p.n_iter, batch_size=p.batch_size, stops_early=stops_early
        )
        is_relative = options.scorer.startswith("ensemble:")  # judges pictures among those of the same call only
        pictures: list[Picture] = []
        for new in generate_rounds(p, plan):
            pictures += new
            self._judge(pictures if is_relative else new)
            if stops_early and is_enough([picture.score for picture in pictures], options.wanted):
                break
        return pictures

    def _judge(self, pictures: Sequence[Picture]) -> None:
        """Give scores to the finished ones among `pictures`."""
        finished = [picture for picture in pictures if not picture.is_incomplete]
        shared.state.textinfo = f"Scoring {len(finished)} pictures"
        judged = self.holder.judge(
            self.options.scorer, [picture.image for picture in finished], [picture.prompt for picture in finished]
        )
        shared.state.textinfo = None
        for picture, score in zip(finished, judged.scores, strict=True):
            picture.score = score
        if judged.problem:
            self.p.comment(f"HPS: the pictures were not scored. {judged.problem}")

    def _draw_hires(self, kept: Sequence[Picture]) -> list[Picture]:
        """The kept pictures with hires fix, judged and sorted anew; what Interrupt left out stays as it is."""
        state = shared.state
        state.processing_has_refined_job_count = True  # each of them counts twice, and we count them here
        state.job_count += 2 * len(kept)
        drawn: list[Picture] = []
        for picture in kept:
            can_draw = not picture.is_incomplete and not features.should_stop()
            drawn.append((with_hires(self.p, picture) if can_draw else None) or picture)
        self._judge(drawn)
        return [drawn[i] for i in best_first([picture.score for picture in drawn])]

    def _rank(self, pictures: Sequence[Picture], kept: Sequence[Picture], selection: Selection) -> None:
        scored = [p for p in kept if p.score is not None]
        rejected = [pictures[i] for i in selection.rejected]
        for rank, picture in enumerate([*scored, *rejected], start=1):
            write_score(picture, scorer=self.options.scorer, rank=rank, total=len(scored) + len(rejected))

    def _save(self, kept: Sequence[Picture], rejected: Sequence[Picture]) -> None:
        do_not_save, rest = self.p.do_not_save_samples, self.options.rest
        jobs = [(picture, False) for picture in kept]
        if rest in (SAVE_ALL, SAVE_APART):
            jobs += [(picture, rest == SAVE_APART) for picture in rejected]
        for picture, is_apart in jobs:
            if saving.is_wanted(picture, do_not_save=do_not_save):
                saving.save(picture, to_reject_folder=is_apart)

    def _tell(self, pictures: Sequence[Picture], kept: Sequence[Picture], selection: Selection) -> None:
        """Say in the line below the gallery why it is empty."""
        if pictures and not kept:
            best = max(picture.score for picture in pictures if picture.score is not None)
            least = score_text(selection.threshold or 0.0)
            self.p.comment(f"HPS: none of {len(pictures)} pictures reached {least}; the best has {score_text(best)}.")

    def _processed(self, kept: Sequence[Picture], *, made_by: Any) -> Any:
        p = self.p
        shown = [self._shown(picture) for picture in kept]
        infotexts = [picture.infotext for picture in kept]
        grid = self._grid(shown, infotexts)
        for picture in kept:
            shown += picture.extras
            infotexts += [picture.infotext] * len(picture.extras)
        if grid is not None:
            shown.insert(0, grid)
            infotexts.insert(0, infotexts[0])
        result = processing.Processed(
            made_by,
            shown,
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
        result.extra_generation_params = {**made_by.extra_generation_params, "HPS message": "\n".join(p.comments)}
        return result

    def _shown(self, picture: Picture) -> Any:
        is_drawn = bool(picture.label) and getattr(shared.opts, "hps_draw_score", False)
        return draw_label(picture.image, picture.label) if is_drawn else picture.image

    def _grid(self, shown: list[Any], infotexts: list[str]) -> Any:
        """The grid of what is kept, best first, by the WebUI's own settings; None where it makes none."""
        opts, p = shared.opts, self.p
        if not shown or p.do_not_save_grid or (len(shown) < 2 and opts.grid_only_if_multiple):
            return None
        if not (opts.return_grid or opts.grid_save):
            return None
        grid = images.image_grid(shown, p.batch_size)
        if opts.enable_pnginfo:
            grid.info["parameters"] = infotexts[0]
        if opts.grid_save:
            short = not opts.grid_extended_filename
            place = (p.outpath_grids, "grid", p.seed, p.prompt, opts.grid_format)
            images.save_image(grid, *place, info=infotexts[0], short_filename=short, p=p, grid=True)
        return grid if opts.return_grid else None
