"""What the engine trains, and what it gives back."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lib_hps.training.sampling import batch_indices

if TYPE_CHECKING:
    import torch


class Task(abc.ABC):
    """What is trained. `model` is the module whose forward `loss` calls: it is what DDP wraps."""

    model: torch.nn.Module

    @property
    @abc.abstractmethod
    def count(self) -> int:
        """Examples in the data set."""

    @abc.abstractmethod
    def load(self, index: int, generator: torch.Generator) -> Any:
        """One example, on the CPU, with its random choices; may run in another thread."""

    @abc.abstractmethod
    def collate(self, examples: Sequence[Any]) -> Any:
        """A batch of what `load` gave, on the CPU."""

    @abc.abstractmethod
    def loss(self, model: torch.nn.Module, batch: Any, device: torch.device) -> tuple[torch.Tensor, dict[str, float]]:
        """The mean loss of the batch's examples through `model` (the wrapped one), and figures for the log."""

    def plan(self, step: int, *, batch: int, micro: int, seed: int) -> Sequence[int]:
        """The `batch` examples of a step, a function of the arguments alone.

        A task whose examples do not all fit together gives runs of `micro` that do.
        """
        return batch_indices(step, count=self.count, batch=batch, seed=seed)

    def after_step(self) -> None:  # noqa: B027 - most tasks have nothing to do here
        """Called when the optimiser has changed the weights, before they are averaged or saved."""

    def evaluate(self) -> dict[str, float]:
        """Figures of the present weights; "value" decides which ones are best (higher is better).

        The first process evaluates for all.
        """
        return {}


@dataclass
class Result:
    """How a run ended.

    Attributes:
        step: steps done.
        best_step: when the best value was seen; None without evaluations.
        history: every evaluation: {"step": ..., figures}.
        stopped_early: patience ran out.
    """

    step: int
    best_step: int | None = None
    history: list[dict[str, float]] = field(default_factory=list)
    stopped_early: bool = False
