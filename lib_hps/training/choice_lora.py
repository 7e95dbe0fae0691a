"""LoRA for a classifier's towers (Hu et al. 2021): a frozen weight W becomes W + up @ down while it is trained.

The sum is put in W's place by torch's parametrizations, so the towers' code does not know of it, and merging gives
the weights that training computed with, to the last bit.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import torch
from torch import nn
from torch.nn.utils import parametrize


class LowRank(nn.Module):
    """W (out, in) -> W + up @ down; up begins at 0, down as peft's layers do.

    Args:
        weight: W.
        rank: of the change.
        generator: on the CPU.
    """

    def __init__(self, weight: torch.Tensor, rank: int, generator: torch.Generator) -> None:
        super().__init__()
        outputs, inputs = weight.shape
        down = (2 * torch.rand(rank, inputs, generator=generator) - 1) / inputs**0.5
        self.down = nn.Parameter(down.to(weight))
        self.up = nn.Parameter(weight.new_zeros(outputs, rank))

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        """(out, in) -> (out, in)."""
        return weight + self.up @ self.down


def adapt(layers: Iterable[tuple[nn.Module, str]], *, rank: int, seed: int) -> None:
    """Give each of the (module, name of a weight) a `LowRank`, which alone is trained there."""
    generator = torch.Generator().manual_seed(seed)
    for module, name in layers:
        weight = getattr(module, name).requires_grad_(False)
        parametrize.register_parametrization(module, name, LowRank(weight.detach(), rank, generator))


def merge(model: nn.Module) -> None:
    """Put every sum in its weight's place: the model has its old parameters' names again."""
    for module in list(model.modules()):
        if parametrize.is_parametrized(module):
            for name in list(cast(nn.ModuleDict, module.parametrizations)):
                parametrize.remove_parametrizations(module, name, leave_parametrized=True)
