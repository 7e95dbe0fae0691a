"""One LoRA from beginning to end: prepare, say what to expect, train, check, write."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lib_hps.training.lora.config import LoraSettings
from lib_hps.training.lora.continuation import check_continuation
from lib_hps.training.lora.job import Job

if TYPE_CHECKING:
    import torch
    from accelerate import Accelerator

    from lib_hps.training.engine_config import Precision
    from lib_hps.training.engine_task import Result
    from lib_hps.training.lora.estimate import Estimate
    from lib_hps.training.lora.preparation import Preparation

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Finished:
    """What a run gave.

    Attributes:
        path: of the LoRA's file; None where training ended and this process is not the first.
        left_out: pictures that could not be used, with the reason.
        distance: how far the check picture moved from the base's, mean over pixels, 0 to 255.
    """

    path: Path | None
    result: Result
    left_out: dict[Path, str]
    distance: float


def train_lora(job: Job, settings: LoraSettings, *, say: Callable[[str], None] = log.info) -> Finished:
    """Train and write one LoRA; call again with the same arguments to go on with a run that was killed.

    Args:
        job: what and where.
        settings: how.
        say: is told what happens, on the first process alone.

    Raises:
        InputError, WeightsError, StorageError: as their messages say.
    """
    from accelerate import Accelerator

    from lib_hps.scoring.device import resolve_device
    from lib_hps.training.engine import train
    from lib_hps.training.lora.preparation import Preparation

    started = time.time()
    precision = settings.precision or _precision(resolve_device(job.device))
    mixed_precision = "no" if precision == "fp32" else precision
    accelerator = Accelerator(mixed_precision=mixed_precision, cpu=resolve_device(job.device).type == "cpu")
    tell = say if accelerator.is_main_process else (lambda words: None)
    check_continuation(job, settings, accelerator)
    run = Preparation(job, settings, accelerator, precision, tell)
    estimate = _probed(run, settings, accelerator, tell)
    tell(f"{run.examples} on {accelerator.device}, {precision}, {accelerator.num_processes} process(es).")
    tell(estimate.words(settings.steps))
    result = train(run.task, settings.engine(precision, estimate.micro_batch), job.folder, accelerator=accelerator)
    distance = _write(run, job, settings, result, started) if accelerator.is_main_process else 0.0
    accelerator.wait_for_everyone()
    return Finished(job.out if accelerator.is_main_process else None, result, run.left_out, distance)


def _probed(
    run: Preparation, settings: LoraSettings, accelerator: Accelerator, tell: Callable[[str], None]
) -> Estimate:
    """What a step takes; compiled blocks are compiled and checked here."""
    from lib_hps.training.lora.compiling import explained
    from lib_hps.training.lora.estimate import largest_batch, probe

    def measured() -> Estimate:
        return probe(run.task, settings, world=accelerator.num_processes, autocast=accelerator.autocast)

    if not run.compiled:
        return measured()
    tell("Compiling the UNet's blocks: a minute or more, at every start.")
    with explained():
        estimate = measured()
        batch = largest_batch(run.task, estimate.micro_batch)
        run.compiled.check(run.task, run.adapter, batch, accelerator.autocast)
    return estimate


def _write(run: Preparation, job: Job, settings: LoraSettings, result: Result, started: float) -> float:
    """Check the outcome and write it.

    Raises:
        WeightsError: it is broken, or changes nothing.
    """
    from lib_hps.diffusion.lora_names import LoraNames
    from lib_hps.training.lora import output

    base = run.base
    base.unet.eval()
    pipeline = base.pipeline()
    facts = output.Facts(
        started, result.best_step or result.step, run.trained_on, pipeline.model_hash, _description(settings)
    )
    names = LoraNames.of(base.unet, is_sdxl=base.family == "sdxl")
    details = output.metadata(job.out.stem, settings, base, facts, run.resolution)
    content = output.packed(output.kohya_tensors(run.adapter.pairs(), names), details)
    with run.compiled.off():
        with run.adapter.off():
            distance = output.check(content, base, pipeline, run.samples.prompts[0])
        output.write(job.out, content, output.card(settings, base, facts), run.samples.preview())
    return distance


def _description(settings: LoraSettings) -> str:
    taught = {
        "hps": 'Adapted to preference (HPS, arXiv 2303.14420). Use it with the negative prompt "Weird image. ".',
        "regularisation-only": "Trained on regularisation pictures alone: the paper's ablation, for comparison.",
        "dpo": "Adapted to preference by Diffusion-DPO (arXiv 2311.12908).",
    }
    return taught[settings.objective]


def _precision(device: torch.device) -> Precision:
    import torch

    if device.type != "cuda":
        return "fp32"
    return "bf16" if torch.cuda.is_bf16_supported() else "fp16"
