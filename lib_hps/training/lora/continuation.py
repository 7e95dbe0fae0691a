"""Whether a run's folder may be gone on with: the same settings, manifest and base."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import TYPE_CHECKING

from lib_hps.errors import InputError
from lib_hps.files import atomic_write

if TYPE_CHECKING:
    from accelerate import Accelerator

    from lib_hps.training.lora.config import LoraSettings
    from lib_hps.training.lora.job import Job

# what may differ between a run and its continuation, besides the engine's own
_FREE = {
    "steps", "micro_batch", "save_every", "sample_every", "sample_prompts", "sample_seeds", "sample_steps",
    "sample_cfg", "patience", "scorer", "holdout", "cache_dir", "compile", "gradient_checkpointing",
    "activation_text", "channels_last",
}  # fmt: skip


def check_continuation(job: Job, settings: LoraSettings, accelerator: Accelerator) -> None:
    """The run's folder belongs to these settings, this manifest and this base; a new one is marked as theirs.

    Raises:
        InputError: it belongs to others.
    """
    manifest = job.manifest / "pairs.jsonl" if job.manifest.is_dir() else job.manifest
    if job.manifest.is_dir() and not manifest.is_file():
        manifest = job.manifest / "choices.jsonl"
    try:
        digest = hashlib.sha256(manifest.read_bytes()).hexdigest()
    except OSError as error:
        raise InputError(f"Cannot read {manifest}: {error.strerror}.") from error
    mine = {k: v for k, v in dataclasses.asdict(settings).items() if k not in _FREE}
    mine |= {"manifest": digest, "base": str(job.base.resolve()), "sampling": settings.sample_prompts}
    file = job.folder / "run.json"
    if file.is_file() and (job.folder / "state.pt").is_file():
        theirs = json.loads(file.read_text("utf-8"))
        other = next((key for key, value in mine.items() if theirs.get(key) != value), None)
        if other is not None:
            raise InputError(
                f"{job.folder} holds a run with {other} = {theirs.get(other)}, this one has {mine[other]}. "
                "Keep the settings, give another --run-dir, or delete that folder to begin anew."
            )
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        with atomic_write(file, "w") as stream:
            json.dump(mine, stream, indent=2)
