"""One small training loop for every stage: seeded, resumable, with a time estimate."""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from lib_hps.scoring.device import cpu_computes_bf16

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Stage:
    """How long and how fast a stage trains."""

    name: str
    steps: int
    lr: float
    warmup: int = 200
    ema_decay: float = 0.999
    weight_decay: float = 0.01
    save_every_s: float = 60.0
    validate_every: int = 50


def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def autocast() -> AbstractContextManager[object]:
    """bf16 on a GPU and on a CPU that has instructions for it; where it would be emulated, ten times slower, fp32."""
    if device().type == "cuda" or cpu_computes_bf16():
        return torch.autocast(device().type, dtype=torch.bfloat16)
    return nullcontext()


def train(
    stage: Stage,
    modules: torch.nn.Module,
    loss_of: Callable[[torch.Generator], torch.Tensor],
    folder: Path,
    *,
    validate: Callable[[torch.nn.Module], float] | None = None,
) -> torch.nn.Module:
    """Train `modules` in place on `loss_of(generator)` and return them with the averaged weights.

    Each step has a generator of its own, seeded by its number: a resumed run sees the batches of an uninterrupted one.
    `validate(modules)` looks at the averaged weights now and then; those that it gave the most are returned.
    """
    parameters = [p for p in modules.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(
        parameters, lr=stage.lr, betas=(0.9, 0.99), weight_decay=stage.weight_decay, fused=True
    )
    average = [p.detach().clone() for p in parameters]
    best: dict[str, Any] = {"worth": -math.inf}
    state_file, step = folder / f"{stage.name}.state.pt", 0
    if state_file.exists():
        state = torch.load(state_file, weights_only=True, map_location=device())
        modules.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        average, step, best = state["average"], state["step"], state["best"]
        log.info("%s: resumed at step %d of %d", stage.name, step, stage.steps)
    modules.train()
    # on a CPU the fused attention's backward pass is slow
    plain_attention = partial(sdpa_kernel, SDPBackend.MATH) if device().type == "cpu" else nullcontext
    saved = started = time.monotonic()
    first, seen = step, 0.0
    while step < stage.steps:
        for group in optimizer.param_groups:
            group["lr"] = stage.lr * _schedule(step, stage)
        with plain_attention():
            loss = loss_of(torch.Generator().manual_seed(step * 1000003 + 17))
            loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        step += 1
        decay = min(stage.ema_decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(average, [p.detach() for p in parameters], 1 - decay)
        seen = loss.item() if step == first + 1 else 0.98 * seen + 0.02 * loss.item()
        if step % 50 == 0 or step == stage.steps:
            rate = (step - first) / (time.monotonic() - started)
            left = (stage.steps - step) / rate / 60
            log.info("%s %d/%d loss %.4f %.2f steps/s %.0f min left", stage.name, step, stage.steps, seen, rate, left)
        if validate is not None and (step % stage.validate_every == 0 or step == stage.steps):
            with _weights(modules, parameters, average):
                worth = validate(modules)
                log.info("%s %d/%d validation %.4f", stage.name, step, stage.steps, worth)
                if worth > best["worth"]:
                    best = {"worth": worth, "step": step, "weights": [a.clone() for a in average]}
        if time.monotonic() - saved > stage.save_every_s or step == stage.steps:
            _save(state_file, modules, optimizer, average, step, best)
            saved = time.monotonic()
    _copy(parameters, best.get("weights", average))
    return modules.eval()


@contextmanager
def _weights(
    modules: torch.nn.Module, parameters: list[torch.nn.Parameter], shown: list[torch.Tensor]
) -> Iterator[None]:
    """`modules` as it is used, with the weights `shown`; afterwards it trains on as before."""
    kept = [p.detach().clone() for p in parameters]
    modules.eval()
    _copy(parameters, shown)
    try:
        yield
    finally:
        _copy(parameters, kept)
        modules.train()


@torch.no_grad()
def _copy(parameters: Iterable[torch.nn.Parameter], values: Iterable[torch.Tensor]) -> None:
    for p, value in zip(parameters, values, strict=True):
        p.copy_(value)


def batches_from(weights: torch.Tensor, size: int, generator: torch.Generator) -> torch.Tensor:
    return torch.multinomial(weights, size, replacement=True, generator=generator)


def _schedule(step: int, stage: Stage) -> float:
    if step < stage.warmup:
        return (step + 1) / stage.warmup
    done = (step - stage.warmup) / max(1, stage.steps - stage.warmup)
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done))


def _save(
    file: Path,
    modules: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    average: Iterable[torch.Tensor],
    step: int,
    best: dict[str, Any],
) -> None:
    state = {
        "model": modules.state_dict(),
        "optimizer": optimizer.state_dict(),
        "average": list(average),
        "step": step,
        "best": best,
    }
    temporary = file.with_suffix(".tmp")
    torch.save(state, temporary)
    with open(temporary, "rb") as handle:
        os.fsync(handle.fileno())
    temporary.replace(file)
