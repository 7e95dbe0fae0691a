"""The WebUI's CPU noise source: one generator per picture, whatever the batch it is drawn in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class ImageNoise:
    """Initial and in-loop noise of several pictures, as A1111's `ImageRNG` with the source "CPU" draws it.

    Args:
        seeds: one per picture.
        shape: of one latent, (C, H/8, W/8).
        device: where the noise is wanted; it is always drawn on the CPU in float32, so it is the same on every machine.
    """

    def __init__(self, seeds: Sequence[int], shape: tuple[int, int, int], device: torch.device) -> None:
        import torch

        self._shape, self._device = shape, device
        self._generators = [torch.Generator("cpu").manual_seed(int(seed)) for seed in seeds]

    def draw(self) -> Tensor:
        """The next `(B, C, H/8, W/8)` of every picture's own stream; the first draw is the initial noise."""
        import torch

        noise = [torch.randn(self._shape, generator=generator) for generator in self._generators]
        return torch.stack(noise).to(self._device)
