"""The two ways to train a classifier: a light head on frozen features, or the last blocks of both towers."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from lib_hps.errors import InputError
from lib_hps.scoring.clip.head import describe, layers_to_read
from lib_hps.training.choice_model import ChoiceModel
from lib_hps.training.choice_task import ChoiceInputs, ChoiceTask, TrainingChoice, top_1_accuracy
from lib_hps.training.engine import EngineConfig, train
from lib_hps.training.feature_cache import FeatureCache
from lib_hps.training.head_fit import FOLDS, Answers, Fitted, Table, answers, count_fits, fit_head

if TYPE_CHECKING:
    from accelerate import Accelerator

    from lib_hps.training.scorer_base import Base
    from lib_hps.training.scorer_config import ScorerConfig
    from lib_hps.training.scorer_training import Trained

Tensors = dict[str, torch.Tensor]
_BATCH = 32


def _depth(base: Base) -> int:
    layers = base.clip.config.vision.layers
    if not isinstance(layers, int):
        raise InputError(f"{base.name} has a ResNet for an image tower; only CLIPs with a ViT can be trained.")
    return layers


class HeadMethod:
    """Features of every layer, computed once and kept on disk, and a convex fit in the first process."""

    def __init__(self, base: Base, config: ScorerConfig, accelerator: Accelerator, cache: Path | None) -> None:
        self._base, self._config, self._accelerator = base, config, accelerator
        self._clip = base.clip.to(accelerator.device)
        self._layers = layers_to_read(_depth(base))
        self._cache = FeatureCache(cache, f"head {self._layers} {base.digest}") if cache else None
        self._described: dict[Path, torch.Tensor] = {}

    def fill(self, paths: Iterable[Path]) -> dict[Path, str]:
        """Compute what is not kept yet, each process its share; the pictures that cannot be read, with the reason."""
        from tqdm import tqdm

        mine, world = self._accelerator.process_index, self._accelerator.num_processes
        every, bad = sorted(paths), {}
        order = every[mine::world] + [path for rank in range(world) if rank != mine for path in every[rank::world]]
        waiting: list[tuple[Path, str, torch.Tensor]] = []
        shared = len(every[mine::world]) if self._cache else 0
        bar = tqdm(total=len(every), unit="picture", desc="reading", disable=None if not mine else True)
        for number, path in enumerate(order):
            if number == shared:
                waiting = self._flush(waiting)
                self._accelerator.wait_for_everyone()  # the others' share lies in the cache now
            try:
                name = hashlib.sha256(path.read_bytes()).hexdigest()
                kept = self._cache.find(name) if self._cache else None
                if kept is not None:
                    self._described[path] = kept.float()
                else:
                    waiting.append((path, name, self._base.pixels(path)))
            except OSError as error:
                bad[path] = error.strerror or str(error)
            except InputError as error:
                bad[path] = str(error)
            waiting = self._flush(waiting) if len(waiting) == _BATCH else waiting
            bar.update()
        self._flush(waiting)
        bar.close()
        return bad

    def _flush(self, waiting: list[tuple[Path, str, torch.Tensor]]) -> list[tuple[Path, str, torch.Tensor]]:
        if waiting:
            pixels = torch.stack([pixels for *_, pixels in waiting]).to(self._accelerator.device)
            with torch.inference_mode():
                described = describe(self._clip, pixels, self._layers).cpu().half()
            for (path, name, _), row in zip(waiting, described, strict=True):
                self._described[path] = (self._cache.keep(name, row) if self._cache else row).float()
        return []

    def train(self, result: Trained, run: Path) -> tuple[Tensors, dict[str, Any]]:
        """The classifier's tensors, and what its card says of them."""
        from tqdm import tqdm

        choices = [*result.train, *result.validation]
        result.train, result.validation = choices, []  # cross-validation needs no other
        sizes = [len(choices) // part for part in (8, 4, 2) if len(choices) // part >= 12]
        with tqdm(total=count_fits() * (1 + len(sizes)), unit="fit", desc="fitting", disable=None) as bar:
            fitted = self._fit(choices, bar.update)
            if result.test:
                order = torch.randperm(len(choices), generator=torch.Generator().manual_seed(self._config.seed))
                for size in sizes:
                    part = self._fit([choices[i] for i in order[:size].tolist()], bar.update)
                    result.curve.append((size, self._accuracy(part, result.test)))
                result.curve.append((len(choices), self._accuracy(fitted, result.test)))
        result.notes.append(
            f"Cross-validated loss {fitted.loss:.4f}, of the start model {fitted.start_loss:.4f}; the head reads "
            f"{ {'start': 'nothing new', 'plain': 'the first projection', 'all': 'every layer'}[fitted.reads] }, "
            f"shrinkage {fitted.shrinkage:g}."
        )
        tensors = {**self._clip.cpu().state_dict(), **fitted.head.to_tensors()}
        return tensors, {"head": {"layers": list(self._layers), "reads": fitted.reads, "shrinkage": fitted.shrinkage}}

    def _fit(self, choices: Sequence[TrainingChoice], progress: Any) -> Fitted:
        table, known = self._table(choices)
        prompts = {prompt: number for number, prompt in enumerate(sorted({choice.prompt for choice in choices}))}
        folds = torch.tensor([prompts[choice.prompt] % FOLDS for choice in choices])
        if len(prompts) < FOLDS:  # too few to leave one out: choices instead of prompts
            folds = torch.arange(len(choices)) % FOLDS
        edge = 2 * self._base.clip.config.vision.width
        return fit_head(table, known, folds, self._layers, edge=edge, progress=lambda: progress(1))

    def _table(self, choices: Sequence[TrainingChoice]) -> tuple[Table, Answers]:
        """Every (picture, prompt) once per choice, in order."""
        texts = self._texts({choice.prompt for choice in choices})
        rows = torch.stack([self._described[image] for choice in choices for image in choice.images])
        read = torch.stack([texts[choice.prompt] for choice in choices for _ in choice.images])
        products = rows[:, -read.shape[1] :] * read
        cosine = products.sum(dim=1) * self._clip.logit_scale.detach().exp().cpu()
        first, at = [], 0
        for choice in choices:
            first.append(at)
            at += len(choice.images)
        known = answers([choice.ranking for choice in choices], first, self._config.loss)
        return Table(rows, products, cosine), known

    def _texts(self, prompts: Iterable[str]) -> dict[str, torch.Tensor]:
        tokens = self._base.tokens()
        with torch.inference_mode():
            found = {p: self._clip.encode_text(tokens(p)[None].to(self._accelerator.device))[0] for p in prompts}
        return {p: torch.nn.functional.normalize(text.float().cpu(), dim=0) for p, text in found.items()}

    def _accuracy(self, fitted: Fitted, choices: Sequence[TrainingChoice]) -> float:
        table, _ = self._table(choices)
        with torch.inference_mode():
            head = fitted.head
            scores = table.pictures @ head.pictures + table.products @ head.products + head.cosine * table.cosine
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
        """See `ChoiceInputs.fill`."""
        from tqdm import tqdm

        every = sorted(paths)
        with tqdm(
            total=len(every),
            unit="picture",
            desc="reading",
            disable=None if self._accelerator.is_main_process else True,
        ) as bar:
            return self._inputs.fill(every, bar.update)

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
