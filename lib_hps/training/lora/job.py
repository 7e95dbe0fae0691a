"""What one LoRA is made from, and where it goes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Job:
    """What is trained, on what, and where it goes.

    Attributes:
        manifest: JSONL of `hps select`; for `dpo` also pairs, or a folder of recorded choices.
        base: checkpoint file.
        out: the LoRA's file.
        folder: of the run: state, log, samples; a run that was killed goes on there.
        vae: another autoencoder, LDM's layout.
        device: "auto", "cpu", "cuda", "cuda:1", "mps".
    """

    manifest: Path
    base: Path
    out: Path
    folder: Path
    vae: Path | None = None
    device: str = "auto"
