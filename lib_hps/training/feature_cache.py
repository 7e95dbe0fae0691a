"""What the frozen part of a model gives, kept on disk under the name of what it was computed from."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from lib_hps.files import atomic_write

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)


class FeatureCache:
    """A folder of tensors. Safe to kill, safe with several writers; a damaged file counts as missing.

    Args:
        folder: where; files lie in 256 folders below it.
        model: stands for the weights and the cut: anything that changes when they do.
    """

    def __init__(self, folder: Path, model: str) -> None:
        self._folder = folder / hashlib.sha256(model.encode()).hexdigest()[:16]

    def find(self, name: str) -> torch.Tensor | None:
        """The tensor kept under `name` (hex digits of a hash of the content); None where there is none."""
        import safetensors.torch

        file = self._file(name)
        if not file.exists():
            return None
        try:
            return safetensors.torch.load(file.read_bytes())["features"]
        except Exception as error:  # noqa: BLE001 - whatever a damaged file makes the reader raise
            log.warning("%s is damaged (%s); it is computed again.", file, error)
            return None

    def keep(self, name: str, features: torch.Tensor) -> torch.Tensor:
        """Keep a tensor (floats in half precision) and return it as it was kept.

        Raises:
            StorageError: the folder cannot be written.
        """
        import safetensors.torch

        features = features.detach().cpu()
        features = (features.half() if features.is_floating_point() else features).contiguous()
        with atomic_write(self._file(name), is_durable=False) as stream:
            stream.write(safetensors.torch.save({"features": features}))
        return features

    def _file(self, name: str) -> Path:
        return self._folder / name[:2] / f"{name}.safetensors"
