"""What the frozen part of a model gives, kept on disk under the name of what it was computed from."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from lib_hps.files import atomic_write

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)


class FeatureCache:
    """A folder of tensors. Safe to kill, safe with several writers; a damaged file is computed again.

    Args:
        folder: where; files lie in 256 folders below it.
        model: stands for the weights and the cut: anything that changes when they do.
    """

    def __init__(self, folder: Path, model: str) -> None:
        self._folder = folder / hashlib.sha256(model.encode()).hexdigest()[:16]

    def get(self, content: bytes, compute: Callable[[], torch.Tensor]) -> torch.Tensor:
        """The tensor of this content, computed and kept where it is not there yet (in half precision where float).

        Args:
            content: what decides the tensor: a file's bytes, or a prompt's.
            compute: called where nothing is kept.

        Raises:
            StorageError: the folder cannot be written.
        """
        import safetensors.torch

        name = hashlib.sha256(content).hexdigest()
        file = self._folder / name[:2] / f"{name}.safetensors"
        if file.exists():
            try:
                return safetensors.torch.load(file.read_bytes())["features"]
            except Exception as error:  # noqa: BLE001 - whatever a damaged file makes the reader raise
                log.warning("%s is damaged (%s); it is computed again.", file, error)
        features = compute().detach().cpu()
        features = (features.half() if features.is_floating_point() else features).contiguous()
        with atomic_write(file) as stream:
            stream.write(safetensors.torch.save({"features": features}))
        return features
