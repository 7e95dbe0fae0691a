"""The two ways to train a classifier: a light head on frozen features, or the last blocks of both towers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from lib_hps.errors import InputError
from lib_hps.scoring.clip.head import FEATURES, describe
from lib_hps.training.choice_model import ChoiceModel
from lib_hps.training.choice_task import ChoiceInputs, ChoiceTask, TrainingChoice, top_1_accuracy
from lib_hps.training.engine import train
from lib_hps.training.engine_config import EngineConfig
from lib_hps.training.feature_cache import FeatureCache
from lib_hps.training.feature_reader import FeatureReader
from lib_hps.training.head_answers import answers
from lib_hps.training.head_fit import FOLDS, Fitted, Table, fit_head

if TYPE_CHECKING:
    from accelerate import Accelerator

    from lib_hps.training.scorer_base import Base
    from lib_hps.training.scorer_config import ScorerConfig
    from lib_hps.training.scorer_training import Trained

Tensors = dict[str, torch.Tensor]


def _check_vit(base: Base) -> None:
    if not isinstance(base.clip.config.vision.layers, int):
        raise InputError(f"{base.name} has a ResNet for an image tower; only CLIPs with a ViT can be trained.")


def _filled(
    reader: FeatureReader | ChoiceInputs,
    paths: Iterable[Path],
    accelerator: Accelerator,
    take: Callable[[Path, torch.Tensor], None] | None = None,
) -> dict[Path, str]:
    """Read all pictures, under a progress bar in the first process."""
    from tqdm import tqdm

    every = sorted(set(paths))
    is_quiet = None if accelerator.is_main_process else True
    with tqdm(total=len(every), unit="picture", desc="reading", disable=is_quiet) as bar:
        return reader.fill(
            every,
            rank=accelerator.process_index,
            world=accelerator.num_processes,
            wait=accelerator.wait_for_everyone,
            take=take,
            progress=bar.update,
        )


class HeadMethod:
    """Features of pixels and layers, computed once and kept on disk, and a convex fit in the first process."""

    def __init__(self, base: Base, config: ScorerConfig, accelerator: Accelerator, cache: Path | None) -> None:
        _check_vit(base)
        self._base, self._config, self._accelerator = base, config, accelerator
        self._clip = base.clip.to(accelerator.device)
        kept = FeatureCache(cache, f"head {FEATURES} {base.digest}") if cache else None
        self._reader = FeatureReader(base.square, self._describe, kept)
        self._sizes = self._groups(torch.zeros(1, 3, base.preprocess.size_px, base.preprocess.size_px))
        self._described: dict[Path, torch.Tensor] = {}

    def fill(self, paths: Iterable[Path]) -> dict[Path, str]:
        """Compute what is not kept yet; the pictures that cannot be read, with the reason."""
        return _filled(self._reader, paths, self._accelerator, take=self._described.__setitem__)

    def _groups(self, levels: torch.Tensor) -> dict[str, int]:
        with torch.inference_mode():
            described = describe(self._clip, levels.to(self._accelerator.device), self._base.preprocess)
        return {name: each.shape[1] for name, each in described.items()}

    def _describe(self, levels: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            described = describe(self._clip, levels.to(self._accelerator.device), self._base.preprocess)
        return torch.cat(list(described.values()), dim=1).cpu().half()

    def train(self, result: Trained, run: Path) -> tuple[Tensors, dict[str, Any]]:
        """The classifier's tensors, and what its card says of them."""
        from tqdm import tqdm

        choices = [*result.train, *result.validation]
        result.train, result.validation = choices, []  # cross-validation needs no other
        sizes = [len(choices) // part for part in (8, 4, 2) if len(choices) // part >= 12 and result.test]
        with tqdm(total=1 + len(sizes), unit="fit", desc="fitting", disable=None) as bar:
            fitted = self._fit(choices)
            bar.update()
            order = torch.randperm(len(choices), generator=torch.Generator().manual_seed(self._config.seed))
            for size in sizes:
                part = self._fit([choices[i] for i in order[:size].tolist()])
                result.curve.append((size, self._accuracy(part, result.test)))
                bar.update()
        if result.test:
            result.curve.append((len(choices), self._accuracy(fitted, result.test)))
        strongest = sorted(fitted.blocks, key=lambda name: -fitted.blocks[name])[:4]
        result.notes.append(
            f"Cross-validated loss {fitted.loss:.4f}, of the start model {fitted.start_loss:.4f}; the head reads "
            f"{'mostly ' + ', '.join(strongest) if strongest else 'nothing new'}."
        )
        tensors = {**self._clip.cpu().state_dict(), **fitted.head.to_tensors()}
        return tensors, {"head": {"reads": fitted.head.reads, "blocks": fitted.blocks}}

    def _fit(self, choices: Sequence[TrainingChoice]) -> Fitted:
        """Every (picture, prompt) is one example, however often it was shown."""
        numbers: dict[tuple[Path, str], int] = {}
        places = [[numbers.setdefault((i, c.prompt), len(numbers)) for i in c.images] for c in choices]
        known = answers([choice.ranking for choice in choices], places, self._config.loss)
        prompts = {prompt: number for number, prompt in enumerate(sorted({choice.prompt for choice in choices}))}
        folds = torch.tensor([prompts[choice.prompt] % FOLDS for choice in choices])
        if len(prompts) < FOLDS:  # too few to leave one out: choices instead of prompts
            folds = torch.arange(len(choices)) % FOLDS
        return fit_head(self._table(list(numbers)), known, folds)

    def _table(self, examples: Sequence[tuple[Path, str]]) -> Table:
        texts = self._texts({prompt for _, prompt in examples})
        rows = torch.stack([self._described[image] for image, _ in examples]).float()
        described = dict(zip(self._sizes, rows.split(list(self._sizes.values()), dim=1), strict=True))
        read = torch.stack([texts[prompt] for _, prompt in examples])
        return Table(described, read, (described["embedding"] * read).sum(dim=1) * self._scale())

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
            scores = fitted.head(table.described, table.texts, self._scale())
        return top_1_accuracy(scores, [choice.ranking for choice in choices])


class BlocksMethod:
    """The last blocks of both towers on the engine; what lies below is computed once and kept on disk."""

    def __init__(self, base: Base, config: ScorerConfig, accelerator: Accelerator, cache: Path | None) -> None:
        self._config, self._accelerator = config, accelerator
        clip = base.clip.to(accelerator.device)
        self._model = ChoiceModel(clip, image_blocks=config.image_blocks, text_blocks=config.text_blocks)
        name = f"blocks {self._model.image_cut} {base.digest}"
        has_frozen = self._model.image_cut > 0 or not config.image_blocks
        kept = FeatureCache(cache, name) if cache and has_frozen else None
        self._inputs = ChoiceInputs(self._model, base.pixels, base.tokens(), kept)

    def fill(self, paths: Iterable[Path]) -> dict[Path, str]:
        """See `FeatureReader.fill`."""
        return _filled(self._inputs, paths, self._accelerator)

    def train(self, result: Trained, run: Path) -> tuple[Tensors, dict[str, Any]]:
        """The classifier's tensors, and what its card says of them."""
        config = self._config
        epoch = math.ceil(len(result.train) / config.batch)
        steps = max(1, round(epoch * config.epochs))
        every = max(1, min(epoch, steps // 8)) if result.validation else 0
        engine = EngineConfig(
            steps=steps,
            batch=config.batch,
            micro_batch=config.micro_batch,
            lr=config.lr,
            weight_decay=config.weight_decay,
            warmup=min(config.warmup, steps // 2),
            schedule="cosine",
            precision=config.precision,
            seed=config.seed,
            save_every=max(1, min(epoch, 200)),
            eval_every=every,
            patience=config.patience,
        )
        task = ChoiceTask(self._model, self._inputs, result.train, result.validation, loss=config.loss)
        done = train(task, engine, run, accelerator=self._accelerator)
        result.curve = [(each["step"], each["top-1"]) for each in done.history]
        result.curve_over = "steps"
        result.notes.append(f"{done.step} steps, the weights of step {done.best_step or done.step} were kept.")
        blocks = {"image_blocks": config.image_blocks, "text_blocks": config.text_blocks, "step": done.best_step}
        return dict(self._model.clip.cpu().state_dict()), blocks
