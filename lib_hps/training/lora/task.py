"""The tasks of the engine: denoise selected pictures, or prefer one picture of a pair."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from lib_hps.training.lora.base_task import Example, LoraTask
from lib_hps.training.lora.objectives import dpo_loss, errors

if TYPE_CHECKING:
    from lib_hps.training.lora.examples import TrainingPair, TrainingPicture


class DenoisingTask(LoraTask):
    """Objectives `hps` and `regularisation-only`: mean squared error, captions as the manifest has them."""

    def __init__(self, pictures: Sequence[TrainingPicture], *parts: Any, **more: Any) -> None:
        super().__init__(*parts, **more)
        self._pictures = pictures

    @property
    def count(self) -> int:
        """See `Task.count`."""
        return len(self._pictures)

    @property
    def shapes(self) -> Sequence[tuple[int, int]]:
        """See `LoraTask.shapes`."""
        return [self._store.bucket(picture.file) for picture in self._pictures]

    def load(self, index: int, generator: torch.Generator) -> Example:
        """See `Task.load`."""
        picture = self._pictures[index]
        return self._example([picture.file], self._store.bucket(picture.file), picture.caption, generator)

    def loss(
        self, model: torch.nn.Module, batch: Example, device: torch.device
    ) -> tuple[torch.Tensor, dict[str, float]]:
        """See `Task.loss`."""
        batch = Example(*(part.to(device, non_blocking=True) for part in batch))
        inputs, target = self._inputs(batch, 1)
        found = errors(model(**inputs), target)
        if self._knobs.min_snr:
            found = found * self._diffusion.snr_weight(inputs["t"], self._knobs.min_snr)
        return found.mean(), {}


class DpoTask(LoraTask):
    """Objective `dpo`: both pictures of a pair see the same noise at the same time step; the reference is the base."""

    def __init__(self, pairs: Sequence[TrainingPair], *parts: Any, **more: Any) -> None:
        super().__init__(*parts, **more)
        self._pairs = pairs

    @property
    def count(self) -> int:
        """See `Task.count`."""
        return len(self._pairs)

    @property
    def shapes(self) -> Sequence[tuple[int, int]]:
        """See `LoraTask.shapes`."""
        return [self._store.bucket(pair.winner) for pair in self._pairs]

    def load(self, index: int, generator: torch.Generator) -> Example:
        """See `Task.load`; the loser is cut to the winner's shape."""
        pair = self._pairs[index]
        return self._example([pair.winner, pair.loser], self._store.bucket(pair.winner), pair.prompt, generator)

    def loss(
        self, model: torch.nn.Module, batch: Example, device: torch.device
    ) -> tuple[torch.Tensor, dict[str, float]]:
        """See `Task.loss`."""
        batch = Example(*(part.to(device, non_blocking=True) for part in batch))
        inputs, target = self._inputs(batch, 2)
        with torch.no_grad(), self._adapter.off():
            reference = errors(self.model(**inputs), target).reshape(2, -1)
        found = errors(model(**inputs), target).reshape(2, -1)
        return dpo_loss(found, reference, self._knobs.beta)
