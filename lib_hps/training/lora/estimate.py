"""How much a device takes at once, how long a run will be, how much memory it needs: by trying one part of a step."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from lib_hps.errors import InputError

if TYPE_CHECKING:
    from lib_hps.training.lora.base_task import Example, LoraTask
    from lib_hps.training.lora.config import LoraSettings

_CPU_CELLS = 4096  # latent cells at once on a CPU: one picture of 512 px


@dataclass(frozen=True)
class Estimate:
    """What one part of a step took.

    Attributes:
        micro_batch: examples in it.
        step_s: seconds of a whole step, without accumulation's small savings.
        peak_bytes: the process' (CPU) or the device's largest use.
    """

    micro_batch: int
    step_s: float
    peak_bytes: int

    def words(self, steps: int) -> str:
        """One line for the user."""
        seconds = self.step_s * steps
        minutes = seconds / 60
        long = (
            f"{minutes / 60:.1f} h" if minutes > 90 else f"{minutes:.0f} min" if minutes > 1.5 else f"{seconds:.0f} s"
        )
        return (
            f"{steps} steps of about {self.step_s:.2f} s: {long} without samples; "
            f"{self.peak_bytes / 2**30:.1f} GiB at the most; {self.micro_batch} at once."
        )


def probe(task: LoraTask, settings: LoraSettings, *, world: int, autocast: Callable[[], object]) -> Estimate:
    """Run the forward and backward pass of one part twice, halving it where memory does not suffice.

    Gradients are thrown away; weights and random numbers of the run are untouched.

    Raises:
        InputError: not even one example fits.
    """
    share = max(1, settings.batch // world)
    device = next(task.model.parameters()).device
    micro = min(settings.micro_batch or _first_guess(task, share, device), share)
    while share % micro:
        micro -= 1
    while True:
        try:
            seconds, peak = _timed(task, micro, device, autocast)
            return Estimate(micro, seconds * (share // micro), peak)
        except torch.cuda.OutOfMemoryError:
            task.model.zero_grad(set_to_none=True)
            gc.collect()
            torch.cuda.empty_cache()
            if micro == 1:
                raise InputError(
                    "Not even one example fits the GPU. Use gradient_checkpointing, a smaller resolution, or bf16."
                ) from None
            micro //= 2
            while share % micro:
                micro -= 1


def _first_guess(task: LoraTask, share: int, device: torch.device) -> int:
    if device.type != "cpu":
        return share
    width, height = max(task.shapes, key=lambda shape: shape[0] * shape[1])
    return max(1, min(share, _CPU_CELLS * 64 // (width * height)))


def largest_batch(task: LoraTask, micro: int) -> Example:
    """A part of a step, of the largest shape there is."""
    shapes = task.shapes
    largest = max(range(len(shapes)), key=lambda index: shapes[index][0] * shapes[index][1])
    generator = torch.Generator().manual_seed(0)
    return task.collate([task.load(largest, generator) for _ in range(micro)])


def _timed(task: LoraTask, micro: int, device: torch.device, autocast: Callable[[], object]) -> tuple[float, int]:
    batch = largest_batch(task, micro)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    seconds = 0.0
    task.model.train()
    for _ in range(2):  # the first one warms up
        began = time.monotonic()
        with autocast():  # type: ignore[attr-defined]
            loss, _figures = task.loss(task.model, batch, device)
        loss.backward()
        float(loss.detach())  # waits for the device
        seconds = time.monotonic() - began
        task.model.zero_grad(set_to_none=True)
    return seconds, _peak(device)


def _peak(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    try:
        import resource
        import sys
    except ImportError:  # Windows
        return 0
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if sys.platform == "darwin" else used * 1024
