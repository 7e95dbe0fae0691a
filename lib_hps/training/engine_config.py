"""How a task is trained: the engine's settings."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from lib_hps.errors import InputError
from lib_hps.training.optimizers import Optimizer
from lib_hps.training.schedule import Schedule

Precision = Literal["fp32", "bf16", "fp16"]


@dataclass(frozen=True)
class EngineConfig:
    """How a task is trained.

    Attributes:
        steps: optimiser steps.
        batch: examples in a step, all processes and accumulated parts together.
        micro_batch: examples that one process takes at once; None: all of its share.
        optimizer: "adamw"; "adamw8bit" (bitsandbytes) and "prodigy" (prodigyopt) where they are installed.
        lr: the optimiser's peak learning rate; Prodigy finds it, give 1.
        betas: the optimiser's.
        weight_decay: the optimiser's.
        warmup: steps of linear warm-up.
        schedule: of the learning rate behind the warm-up.
        clip_norm: of the gradient, 0 for none.
        ema: decay of an average of the weights that is evaluated and kept in the weights' place; 0 for none.
        precision: of the forward pass; weights stay as the task made them.
        seed: of everything.
        save_every: steps between states on disk.
        eval_every: steps between evaluations; 0 for none.
        patience: evaluations without a better value before the run stops; 0 for never.

    Raises:
        InputError: a value out of range, named.
    """

    steps: int
    batch: int
    micro_batch: int | None = None
    optimizer: Optimizer = "adamw"
    lr: float = 1e-4
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.01
    warmup: int = 0
    schedule: Schedule = "constant"
    clip_norm: float = 1.0
    ema: float = 0.0
    precision: Precision = "fp32"
    seed: int = 0
    save_every: int = 100
    eval_every: int = 0
    patience: int = 0

    def __post_init__(self) -> None:
        for name, lowest in (
            ("steps", 1),
            ("batch", 1),
            ("warmup", 0),
            ("seed", 0),
            ("save_every", 1),
            ("eval_every", 0),
            ("patience", 0),
        ):
            if getattr(self, name) < lowest:
                raise InputError(f"{name} is {getattr(self, name)!r}; give a whole number from {lowest}.")
        if self.micro_batch is not None and not 1 <= self.micro_batch <= self.batch:
            raise InputError(f"micro_batch is {self.micro_batch!r}; give 1 to {self.batch} (the batch).")
        if not 0 < self.lr < math.inf:
            raise InputError(f"lr is {self.lr!r}; give a number above 0.")
        for name in ("weight_decay", "clip_norm"):
            if not 0 <= getattr(self, name) < math.inf:
                raise InputError(f"{name} is {getattr(self, name)!r}; give 0 or more.")
        if not 0 <= self.ema < 1:
            raise InputError(f"ema is {self.ema!r}; give 0 (none) or a decay below 1, such as 0.999.")

    def shares(self, world: int) -> tuple[int, int]:
        """Examples in a part, and parts in a step, of each of `world` processes.

        Raises:
            InputError: they cannot share the batch.
        """
        if self.batch % world:
            raise InputError(f"{world} processes cannot share a batch of {self.batch}. Make it a multiple of them.")
        share = self.batch // world
        micro = min(self.micro_batch or share, share)
        if share % micro:
            raise InputError(
                f"The batch of {self.batch} gives each of {world} processes {share} examples, which parts of {micro} "
                "do not divide. Choose another micro_batch."
            )
        return micro, share // micro
