"""A classifier as a CLIP of which the last blocks, or LoRAs on them, are trained by the engine."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch

from lib_hps.training.choice_lora import merge
from lib_hps.training.choice_model import ChoiceModel
from lib_hps.training.choice_task import ChoiceInputs, ChoiceTask
from lib_hps.training.engine import train
from lib_hps.training.engine_config import EngineConfig
from lib_hps.training.feature_cache import FeatureCache
from lib_hps.training.feature_reader import fill_under_a_bar

if TYPE_CHECKING:
    from accelerate import Accelerator

    from lib_hps.training.scorer_base import Base
    from lib_hps.training.scorer_config import ScorerConfig
    from lib_hps.training.scorer_training import Trained

_RATES = {"blocks": 1e-4, "lora": 0.01}
_EPOCHS = {"blocks": 4.0, "lora": 16.0}


class BlocksMethod:
    """The last blocks of both towers, or LoRAs on them; what lies below is computed once and kept on disk."""

    def __init__(
        self,
        base: Base,
        config: ScorerConfig,
        accelerator: Accelerator,
        cache: Path | None,
        method: Literal["lora", "blocks"],
    ) -> None:
        self._config, self._accelerator = config, accelerator
        clip = base.clip.to(accelerator.device)
        self._rank = config.rank if method == "lora" else 0
        self._model = ChoiceModel(
            clip, image_blocks=config.image_blocks, text_blocks=config.text_blocks, rank=self._rank, seed=config.seed
        )
        name = f"blocks {self._model.image_cut} {base.digest}"
        has_frozen = self._model.image_cut > 0 or not config.image_blocks
        kept = FeatureCache(cache, name) if cache and has_frozen else None
        self._inputs = ChoiceInputs(self._model, base.pixels, base.tokens(), kept)

    def fill(self, paths: Iterable[Path]) -> dict[Path, str]:
        """See `FeatureReader.fill`."""
        return fill_under_a_bar(self._inputs, paths, self._accelerator)

    def train(self, result: Trained, run: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
        """The classifier's tensors, and what its card says of them."""
        config = self._config
        epoch = math.ceil(len(result.train) / config.batch)
        method = "lora" if self._rank else "blocks"
        steps = max(1, round(epoch * (config.epochs or _EPOCHS[method])))
        every = max(1, min(epoch, steps // 8)) if result.validation else 0
        engine = EngineConfig(
            steps=steps,
            batch=config.batch,
            micro_batch=config.micro_batch,
            lr=config.lr or _RATES[method],
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
        merge(self._model)
        return dict(self._model.clip.cpu().state_dict()), {**blocks, **({"rank": self._rank} if self._rank else {})}
