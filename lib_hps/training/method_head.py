"""A classifier as a light head on frozen features: computed once, kept on disk, fitted in seconds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from lib_hps.errors import InputError
from lib_hps.scoring.clip.head_features import FEATURES, THUMBNAIL, describe
from lib_hps.scoring.clip.tag_features import side_by_side
from lib_hps.scoring.prompts import tags_of
from lib_hps.training.choice_task import TrainingChoice, top_1_accuracy
from lib_hps.training.feature_cache import FeatureCache
from lib_hps.training.feature_reader import FeatureReader, fill_under_a_bar
from lib_hps.training.head_answers import answers
from lib_hps.training.head_blocks import Table
from lib_hps.training.head_fit import FOLDS, Fitted, fit_head
from lib_hps.training.logs import TrainingLog

if TYPE_CHECKING:
    from accelerate import Accelerator
    from tqdm import tqdm

    from lib_hps.training.scorer_base import Base
    from lib_hps.training.scorer_config import ScorerConfig
    from lib_hps.training.scorer_training import Trained


class HeadMethod:
    """Features of pixels and layers, computed once and kept on disk, and a convex fit in the first process."""

    def __init__(self, base: Base, config: ScorerConfig, accelerator: Accelerator, cache: Path | None) -> None:
        self._base, self._config, self._accelerator = base, config, accelerator
        self._clip = base.clip.to(accelerator.device)
        kept = FeatureCache(cache, f"head {FEATURES} {base.digest}") if cache else None
        self._reader = FeatureReader(base.square, self._describe, kept)
        self._sizes = self._groups(torch.zeros(1, 3, base.preprocess.size_px, base.preprocess.size_px))
        self._described: dict[Path, torch.Tensor] = {}

    def fill(self, paths: Iterable[Path]) -> dict[Path, str]:
        """Compute what is not kept yet; the pictures that cannot be read, with the reason."""
        return fill_under_a_bar(self._reader, paths, self._accelerator, take=self._described.__setitem__)

    def _groups(self, levels: torch.Tensor) -> dict[str, int]:
        with torch.inference_mode():
            described = describe(self._clip, levels.to(self._accelerator.device), self._base.preprocess)
        return {name: each.shape[1] for name, each in described.items()}

    def _describe(self, levels: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            described = describe(self._clip, levels.to(self._accelerator.device), self._base.preprocess)
        return torch.cat(list(described.values()), dim=1).cpu().half()

    def train(self, result: Trained, run: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
        """The classifier's tensors, and what its card says of them.

        Raises:
            InputError: there are fewer than two choices.
        """
        from tqdm import tqdm

        choices = [*result.train, *result.validation]
        if len(choices) < 2:
            raise InputError(
                f"Choices to learn from: {len(choices)}. A head takes two, for it is asked about each by what the "
                "others taught. Make more choices, or keep none for the test with --test-share 0."
            )
        result.train, result.validation = choices, []  # cross-validation needs no other
        sizes = [len(choices) // part for part in (8, 4, 2) if len(choices) // part >= 12 and result.test]
        order = torch.randperm(len(choices), generator=torch.Generator().manual_seed(self._config.seed)).tolist()
        log = TrainingLog(run if self._accelerator.is_main_process else None)
        log.resume(0)  # a fit that was killed is done again; the features, which take longer, are kept
        with closing(log), tqdm(total=1 + len(sizes), unit="fit", desc="fitting", disable=None) as bar:
            fitted = self._fit(choices, log, bar)
            for size in sizes:
                part = self._fit([choices[i] for i in order[:size]], log, bar)
                result.curve.append((size, self._accuracy(part, result.test)))
            if result.test:
                result.curve.append((len(choices), self._accuracy(fitted, result.test)))
            for learned, top_1 in result.curve:
                log.note("test", int(learned), {"top-1": top_1})
        strongest = sorted(fitted.blocks, key=lambda name: -fitted.blocks[name])[:4]
        result.notes.append(
            f"Cross-validated loss {fitted.loss:.4f}, of the start model {fitted.start_loss:.4f}; the head reads "
            f"{'mostly ' + ', '.join(strongest) if strongest else 'nothing new'}."
        )
        tensors = {**self._clip.cpu().state_dict(), **fitted.head.to_tensors()}
        return tensors, {"head": {"features": FEATURES, "reads": fitted.head.reads, "blocks": fitted.blocks}}

    def _fit(self, choices: Sequence[TrainingChoice], log: TrainingLog, bar: tqdm[Any]) -> Fitted:
        """Every (picture, prompt) is one example, however often it was shown."""
        step = count(1)

        def note(figures: dict[str, float]) -> None:
            log.note(f"fit of {len(choices)} choices", next(step), figures)
            bar.set_postfix({name: f"{value:.4f}" for name, value in figures.items() if name.endswith("loss")})

        numbers: dict[tuple[Path, str], int] = {}
        places = [[numbers.setdefault((i, c.prompt), len(numbers)) for i in c.images] for c in choices]
        known = answers([choice.ranking for choice in choices], places, self._config.loss)
        prompts = {prompt: number for number, prompt in enumerate(sorted({choice.prompt for choice in choices}))}
        folds = torch.tensor([prompts[choice.prompt] % FOLDS for choice in choices])
        if len(prompts) < FOLDS:  # too few to leave one out: choices instead of prompts
            folds = torch.arange(len(choices)) % FOLDS
        fitted = fit_head(self._table(list(numbers)), known, folds, note, device=self._accelerator.device)
        bar.update()
        return fitted

    def _table(self, examples: Sequence[tuple[Path, str]]) -> Table:
        texts = self._texts({prompt for _, prompt in examples})
        rows = torch.stack([self._described[image] for image, _ in examples])
        groups = zip(self._sizes, rows.split(list(self._sizes.values()), dim=1), strict=True)
        described = {name: x if name == THUMBNAIL else x.float() for name, x in groups}
        read = torch.stack([texts[prompt] for _, prompt in examples])
        cosine = (described["embedding"] * read).sum(dim=1) * self._scale()
        return Table(described, [prompt for _, prompt in examples], read, cosine, self._scale(), self._tags(texts))

    def _tags(self, prompts: Iterable[str]) -> dict[str, torch.Tensor]:
        """(T, E) of each prompt."""
        each = {prompt: tags_of(prompt) for prompt in prompts}
        texts = self._texts({tag for tags in each.values() for tag in tags})
        return {prompt: torch.stack([texts[tag] for tag in tags]) for prompt, tags in each.items()}

    def _scale(self) -> torch.Tensor:
        return self._clip.logit_scale.detach().float().exp().cpu()

    def _texts(self, prompts: Iterable[str]) -> dict[str, torch.Tensor]:
        tokens = self._base.tokens()
        with torch.inference_mode():
            found = {p: self._clip.encode_text(tokens(p)[None].to(self._accelerator.device))[0] for p in prompts}
        return {p: torch.nn.functional.normalize(text.float().cpu(), dim=0) for p, text in found.items()}

    def _accuracy(self, fitted: Fitted, choices: Sequence[TrainingChoice]) -> float:
        table = self._table([(image, choice.prompt) for choice in choices for image in choice.images])
        with torch.inference_mode():
            tags = side_by_side([table.tags[prompt] for prompt in table.prompts])
            scores = fitted.head(table.described, table.texts, self._scale(), tags)
        return top_1_accuracy(scores, [choice.ranking for choice in choices])
