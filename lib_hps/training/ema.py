"""An average of the weights over the last steps: smoother than the weights themselves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Parameter


class WeightAverage:
    """Exponential moving average of parameters, in float32.

    Args:
        parameters: that are averaged.
        decay: share of the old average that stays at each step; less in the first steps, (1 + n) / (10 + n), so that
            the beginning is forgotten.

    Attributes:
        weights: the averages, in the order of `parameters`.
    """

    def __init__(self, parameters: Sequence[Parameter], decay: float) -> None:
        self._parameters, self._decay = parameters, decay
        self.weights: list[Tensor] = [p.detach().float().clone() for p in parameters]

    def update(self, step: int) -> None:
        """Take in the weights behind step `step` (from 0)."""
        import torch

        decay = min(self._decay, (1 + step) / (10 + step))
        with torch.no_grad():
            for mean, parameter in zip(self.weights, self._parameters, strict=True):
                mean.lerp_(parameter.detach().to(mean), 1 - decay)

    def apply(self) -> None:
        """Put the averages into the parameters."""
        self._put(self.weights)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The parameters hold the averages inside, and their own values again behind it."""
        kept = [parameter.detach().clone() for parameter in self._parameters]
        self.apply()
        try:
            yield
        finally:
            self._put(kept)

    def load(self, weights: Sequence[Tensor]) -> None:
        """Go on from saved averages."""
        self.weights = [given.to(mean) for given, mean in zip(weights, self.weights, strict=True)]

    def _put(self, weights: Sequence[Tensor]) -> None:
        import torch

        with torch.no_grad():
            for parameter, value in zip(self._parameters, weights, strict=True):
                parameter.copy_(value)
