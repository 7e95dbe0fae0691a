"""Everything that can be set about a LoRA's training, with the paper's defaults (HPS, arXiv 2303.14420)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from lib_hps.errors import InputError
from lib_hps.training.engine_config import EngineConfig, Precision
from lib_hps.training.optimizers import Optimizer
from lib_hps.training.schedule import Schedule

Objective = Literal["hps", "regularisation-only", "dpo"]
NEGATIVE_TEXT = "Weird image. "
TARGETS = ("attention", "feed-forward", "conv")


def _(text: str) -> dict[str, str]:
    return {"help": text}


@dataclass(frozen=True)
class LoraSettings:
    """Settings of `hps train-lora`; every field is a flag and a TOML key.

    Raises:
        InputError: a value out of range, named.
    """

    objective: Objective = field(default="hps", metadata=_("what is learned: see docs/lora.md"))
    steps: int = field(default=10_000, metadata=_("optimiser steps"))
    batch: int = field(default=40, metadata=_("examples (dpo: pairs) in a step, all processes together"))
    micro_batch: int | None = field(
        default=None, metadata=_("examples that one process takes at once; not set: what fits the device")
    )
    lr: float = field(default=1e-5, metadata=_("learning rate"))
    optimizer: Optimizer = field(default="adamw", metadata=_("adamw8bit and prodigy need their packages"))
    weight_decay: float = field(default=0.01, metadata=_("of the optimiser"))
    warmup: int = field(default=0, metadata=_("steps of linear warm-up"))
    schedule: Schedule = field(default="constant", metadata=_("of the learning rate"))
    clip_norm: float = field(default=1.0, metadata=_("largest norm of the gradient, 0 for none"))
    ema: float = field(default=0.0, metadata=_("decay of the average that is saved in the weights' place, 0 for none"))
    precision: Precision | None = field(
        default=None, metadata=_("not set: bf16 or fp16 where the device has it, else fp32")
    )
    seed: int = field(default=0, metadata=_("of everything"))
    rank: int = field(default=4, metadata=_("of the low-rank layers"))
    alpha: float | None = field(default=None, metadata=_("scale = alpha / rank; not set: the rank"))
    targets: str = field(default="attention", metadata=_(f"comma-separated: {', '.join(TARGETS)}"))
    text_encoder: bool = field(default=False, metadata=_("adapt the attention of the text encoder as well"))
    max_norm: float = field(default=0.0, metadata=_("largest norm of one layer's change, 0 for none"))
    ratio: str = field(
        default="37:21:200", metadata=_("positive : negative : regularisation, or flat for the manifest as it is")
    )
    caption_dropout: float = field(default=0.0, metadata=_("share of captions that are left empty"))
    beta: float = field(default=5000.0, metadata=_("dpo: how strongly the adapter is held to the base model"))
    min_snr: float = field(default=0.0, metadata=_("gamma of min-SNR weighting, 0 for none (5 is usual)"))
    noise_offset: float = field(default=0.0, metadata=_("strength of a constant added to the noise of each channel"))
    resolution: int | None = field(
        default=None, metadata=_("side of the square with the area of the training pictures; not set: the base's")
    )
    buckets: bool = field(default=True, metadata=_("keep aspect ratios; off: squares"))
    crops: int = field(default=4, metadata=_("random crops that are kept of each picture"))
    cache: bool = field(default=True, metadata=_("keep latents and text embeddings on disk"))
    gradient_checkpointing: bool = field(default=False, metadata=_("less memory, a third more time"))
    channels_last: bool | None = field(default=None, metadata=_("the UNet's memory layout; not set: on a GPU"))
    compile: bool = field(
        default=False, metadata=_("torch.compile the UNet's blocks: meant for GPUs, a minute or more at every start")
    )
    save_every: int = field(default=100, metadata=_("steps between states on disk"))
    sample_every: int = field(default=500, metadata=_("steps between samples, 0 for none"))
    sample_prompts: int = field(
        default=8, metadata=_("prompts of the manifest that are kept out of the training to be drawn")
    )
    sample_seeds: int = field(default=2, metadata=_("pictures of each of them"))
    sample_steps: int = field(default=20, metadata=_("sampler steps of samples"))
    sample_cfg: float = field(default=7.0, metadata=_("guidance of samples"))
    patience: int = field(
        default=0, metadata=_("samplings without a better held-out score before the run stops, 0 for never")
    )
    scorer: str | None = field(
        default=None, metadata=_("scores samples; not set: tiny-hps for tiny-sd, else hps-v2.1 where it is there")
    )
    holdout: str | None = field(default=None, metadata=_("the held-out judge of samples"))
    activation_text: str = field(default="", metadata=_("words that a click on the LoRA's card puts into the prompt"))
    cache_dir: Path | None = field(default=None, metadata=_("of latents and text embeddings; not set: beside the run"))

    def __post_init__(self) -> None:
        lowest = {"rank": 1, "crops": 1, "sample_prompts": 0, "sample_seeds": 1, "sample_steps": 1}
        for name, least in lowest.items():
            if getattr(self, name) < least:
                raise InputError(f"{name} is {getattr(self, name)!r}; give a whole number from {least}.")
        for name in ("max_norm", "min_snr", "noise_offset", "sample_cfg"):
            if not 0 <= getattr(self, name) < math.inf:
                raise InputError(f"{name} is {getattr(self, name)!r}; give 0 or more.")
        for name in ("beta", "alpha"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise InputError(f"{name} is {value!r}; give a number above 0.")
        if not 0 <= self.caption_dropout <= 1:
            raise InputError(f"caption_dropout is {self.caption_dropout!r}; give a share from 0 to 1.")
        if self.resolution is not None and self.resolution < 16:
            raise InputError(f"resolution is {self.resolution!r}; give pixels, 16 or more.")
        unknown = [part for part in self.target_groups if part not in TARGETS]
        if unknown or not self.target_groups:
            raise InputError(f"targets is {self.targets!r}; give some of {', '.join(TARGETS)}, with commas.")
        _ = self.ratios, self.engine("fp32", None)

    @property
    def target_groups(self) -> list[str]:
        """`targets` as a list."""
        return [part.strip() for part in self.targets.split(",") if part.strip()]

    @property
    def ratios(self) -> tuple[float, float, float] | None:
        """Positive, negative, regularisation; None for the manifest as it is.

        Raises:
            InputError: not three numbers, or nothing but zeros.
        """
        if self.ratio.strip() == "flat":
            return None
        try:
            positive, negative, regularisation = (float(part) for part in self.ratio.split(":"))
        except ValueError:
            raise InputError(f"ratio is {self.ratio!r}; give three numbers such as 37:21:200, or flat.") from None
        values = positive, negative, regularisation
        if min(values) < 0 or not 0 < sum(values) < math.inf:
            raise InputError(f"ratio is {self.ratio!r}; give numbers from 0 of which one is above 0.")
        return values

    def engine(self, precision: Precision, micro_batch: int | None) -> EngineConfig:
        """The part of these settings that the engine takes, with what the device decided."""
        return EngineConfig(
            steps=self.steps,
            batch=self.batch,
            micro_batch=micro_batch or self.micro_batch,
            optimizer=self.optimizer,
            lr=self.lr,
            weight_decay=self.weight_decay,
            warmup=self.warmup,
            schedule=self.schedule,
            clip_norm=self.clip_norm,
            ema=self.ema,
            precision=precision,
            seed=self.seed,
            save_every=self.save_every,
            eval_every=self.sample_every,
            patience=self.patience,
        )
