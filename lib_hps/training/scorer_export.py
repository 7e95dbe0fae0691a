"""Between a trained classifier's file and HPS v1's checkpoint format, `{"state_dict": ...}` under torch.save."""

from __future__ import annotations

from pathlib import Path

from lib_hps.errors import InputError
from lib_hps.files import atomic_write


def to_hps_v1(classifier: Path, target: Path) -> Path:
    """Write a classifier's tensors as HPS v1's `.pt`; tokenizer and preprocessing have no place in that format.

    Raises:
        InputError: it has a head, which that format cannot hold.
        WeightsError: no classifier.
        StorageError: the file cannot be written.
    """
    import torch

    from lib_hps.scoring.checkpoints import read_state_dict
    from lib_hps.scoring.clip.head import PREFIX

    tensors, _ = read_state_dict(classifier)
    if any(name.startswith(PREFIX) for name in tensors):
        raise InputError(
            f"{classifier} has a head, and HPS v1's format is a CLIP without one. "
            "Train with --method blocks or lora to get a classifier that can be exported."
        )
    with atomic_write(target) as stream:
        torch.save({"state_dict": {name: tensor.clone() for name, tensor in tensors.items()}}, stream)
    return target


def from_hps_v1(checkpoint: Path, target: Path, *, like: str) -> Path:
    """Write a checkpoint as a classifier that scores as `like` does.

    Args:
        like: the scorer whose tokenizer, preprocessing and architecture it has: hps-v1, tiny-hps, or a file.

    Raises:
        WeightsError: damaged, or of another architecture than `like`.
    """
    from lib_hps.scoring.checkpoints import load_clip
    from lib_hps.training.scorer_base import load_base

    base = load_base(like)
    clip = load_clip(checkpoint, quick_gelu=base.clip.config.quick_gelu, config=base.clip.config)
    return base.write(target, clip.state_dict(), name=target.stem, extra={"base": like, "imported": checkpoint.name})
