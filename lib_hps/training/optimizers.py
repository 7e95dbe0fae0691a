"""The optimisers to choose from; torch's own needs nothing, the others their packages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from lib_hps.errors import InputError

if TYPE_CHECKING:
    import torch

Optimizer = Literal["adamw", "adamw8bit", "prodigy"]


def make_optimizer(
    name: Optimizer,
    parameters: Sequence[torch.nn.Parameter],
    *,
    lr: float,
    betas: tuple[float, float],
    weight_decay: float,
) -> torch.optim.Optimizer:
    """Build an optimiser.

    Raises:
        InputError: its package is not installed.
    """
    shared: dict[str, Any] = {"lr": lr, "betas": betas, "weight_decay": weight_decay}
    if name == "adamw":
        from torch.optim import AdamW

        return AdamW(parameters, **shared)
    try:
        if name == "adamw8bit":
            from bitsandbytes.optim import AdamW8bit

            return AdamW8bit(parameters, **shared)
        from prodigyopt import Prodigy
    except ImportError as error:
        package = {"adamw8bit": "bitsandbytes", "prodigy": "prodigyopt"}[name]
        raise InputError(
            f"The optimiser {name} needs the package {package}, which is not installed in the trainer's environment. "
            f"Install it there (pip install {package}), or choose adamw."
        ) from error
    return Prodigy(parameters, safeguard_warmup=True, **shared)
