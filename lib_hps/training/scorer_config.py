"""The settings of `hps train-scorer`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from lib_hps.errors import InputError
from lib_hps.training.engine_config import Precision
from lib_hps.training.losses import PreferenceLoss

Method = Literal["auto", "head", "lora", "blocks"]
BLOCKS_FROM = 5_000
"""Choices from which "auto" trains blocks. A guess: they were compared at 1,000 choices alone, where the head won."""


def _(text: str) -> dict[str, str]:
    return {"help": text}


@dataclass(frozen=True, kw_only=True)
class ScorerConfig:
    """How a classifier is trained; each field is a flag and a key of the TOML file.

    Raises:
        InputError: a value out of range, named.
    """

    base: str = field(default="tiny-hps", metadata=_("tiny-hps, hps-v2.1, clip:<name>/<training>, or a file"))
    weights: Path | None = field(default=None, metadata=_("weights of the base, where it has none of its own"))
    method: Method = field(
        default="auto", metadata=_("head, lora, blocks, or auto: head or blocks by the number of choices")
    )
    loss: PreferenceLoss = field(default="plackett-luce", metadata=_("what an answer costs"))
    validation_share: float = field(default=0.1, metadata=_("share of the prompts that decides when to stop"))
    test_share: float = field(default=0.15, metadata=_("share of the prompts that only the report sees"))
    image_blocks: int = field(default=2, metadata=_("blocks, lora: last image blocks that are trained"))
    text_blocks: int = field(default=1, metadata=_("blocks, lora: last text blocks that are trained"))
    rank: int = field(default=4, metadata=_("lora: of what is added to each weight of the attention"))
    epochs: float | None = field(
        default=None, metadata=_("how often every choice is seen; else 4 (blocks) or 16 (lora)")
    )
    batch: int = field(default=16, metadata=_("blocks, lora: choices in a step"))
    micro_batch: int | None = field(default=None, metadata=_("blocks, lora: choices at once"))
    lr: float | None = field(default=None, metadata=_("peak learning rate of AdamW; else 1e-4 (blocks) or 0.01 (lora)"))
    weight_decay: float = field(default=1e-3, metadata=_("blocks, lora: of AdamW"))
    warmup: int = field(default=20, metadata=_("blocks, lora: steps of warm-up"))
    patience: int = field(default=5, metadata=_("blocks, lora: evaluations without gain before the end; 0: never"))
    precision: Precision = field(default="fp32", metadata=_("blocks, lora: of the forward pass"))
    cache: bool = field(default=True, metadata=_("keep what the frozen part gives on disk"))
    seed: int = field(default=0, metadata=_("of everything that is drawn by lot"))
    device: str = field(default="auto", metadata=_("auto, cpu, cuda, mps"))
    layout: str | None = field(default=None, metadata=_("layout of the data, where it is not recognised"))
    images: Path | None = field(default=None, metadata=_("folder of the pictures, where they are not beside the data"))

    def __post_init__(self) -> None:
        for name in ("validation_share", "test_share"):
            if not 0 <= getattr(self, name) < 0.5:
                raise InputError(f"{name} is {getattr(self, name)!r}; give 0 or more, below 0.5.")
        if self.rank < 1:
            raise InputError(f"rank is {self.rank!r}; give a whole number from 1.")
        if self.epochs is not None and not self.epochs > 0:
            raise InputError(f"epochs is {self.epochs!r}; give a number above 0.")
