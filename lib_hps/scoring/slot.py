"""Where a model runs: loaded at first use, batches halved until they fit, moved off the GPU again."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, TypeVar

from lib_hps.errors import HpsError, InputError

from .device import free_cache, is_out_of_memory, resolve_device, resolve_dtype

if TYPE_CHECKING:
    import torch

M = TypeVar("M", bound="torch.nn.Module")
log = logging.getLogger(__name__)


class ModelSlot(Generic[M]):
    """One model, loaded at its first use, and the policy of where it runs.

    A batch that does not fit is halved (and stays so); where not even one row fits, the model goes on on the CPU.
    """

    def __init__(
        self,
        load: Callable[[torch.device, torch.dtype], M],
        *,
        device: str | torch.device,
        dtype: str | torch.dtype,
        batch_size: int | None = None,
        is_large: bool = False,
        name: str = "model",
    ) -> None:
        if batch_size is not None and batch_size < 1:
            raise InputError(f"batch_size must be at least 1, got {batch_size!r}.")
        self._load, self._name = load, name
        self._wanted = (device, dtype)
        self._model: M | None = None
        self._batch_size, self._is_large = batch_size, is_large
        self._device: torch.device | None = None

    @property
    def device(self) -> torch.device:
        """Where it runs now, or will run when first used."""
        if self._device is None:
            self._device = resolve_device(self._wanted[0])
        return self._device

    @property
    def dtype(self) -> torch.dtype:
        """The precision in which it runs on its device."""
        return resolve_dtype(self._wanted[1], self.device, is_large=self._is_large)

    @property
    def batch_size(self) -> int:
        """Rows per forward pass: what was asked for, or 64 on a GPU and 16 on a CPU; less after out-of-memory."""
        return self._batch_size or (16 if self.device.type == "cpu" else 64)

    @property
    def is_loaded(self) -> bool:
        """True once the weights were read and until they are dropped."""
        return self._model is not None

    def get(self) -> M:
        """The model on its device, in eval mode."""
        import torch

        try:
            if self._model is None:
                self._model = self._load(self.device, self.dtype).eval().requires_grad_(False)
            elif next(self._model.parameters()).device.type != self.device.type:
                self._model.to(self.device)
        except (RuntimeError, torch.cuda.OutOfMemoryError) as error:
            if not is_out_of_memory(error) or self.device.type == "cpu":
                raise
            self._fall_back()
            return self.get()
        return self._model

    def to(self, device: str | torch.device) -> None:
        """Run on `device` from now on; where that changes the precision, the weights are read again."""
        before = self.dtype
        self._device = resolve_device(device)
        if self._model is not None and self.dtype == before:
            self._model.to(self._device)
        else:
            self._model = None

    def unload(self, *, drop: bool = False) -> None:
        """Move the model off the GPU (it comes back at its next use), or with `drop` forget it altogether."""
        if self._model is not None and not drop:
            self._model.to("cpu")
        if drop:
            self._model = None
        free_cache(self.device)

    def run(self, function: Callable[[M, torch.Tensor], torch.Tensor], rows: torch.Tensor) -> torch.Tensor:
        """`function(model, rows)` in batches that fit; `rows` (N, ...) come to the model's device, results stay.

        Raises:
            HpsError: not even one row fits into the CPU's memory.
        """
        import torch

        done: list[torch.Tensor] = []
        start = 0
        with torch.inference_mode():
            while start < len(rows):
                size = min(self.batch_size, len(rows) - start)
                model = self.get()
                try:
                    batch = rows[start : start + size].to(self.device, non_blocking=True)
                    done.append(function(model, batch))
                    start += size
                    continue
                except (RuntimeError, torch.cuda.OutOfMemoryError) as error:
                    if not is_out_of_memory(error):
                        raise
                # outside of the except clause, whose traceback would keep the failed pass's memory alive
                done = [part.to("cpu") for part in done] if size == 1 else done
                self._shrink(size)
        return torch.cat([part.to(self.device) for part in done]) if done else torch.empty(0)

    def _shrink(self, size: int) -> None:
        free_cache(self.device)
        if size > 1:
            self._batch_size = size // 2
            log.warning("%s: a batch of %d does not fit into memory, going on with %d.", self._name, size, size // 2)
        elif self.device.type != "cpu":
            self._fall_back()
        else:
            raise HpsError(f"{self._name}: not even one picture fits into this machine's memory.")

    def _fall_back(self) -> None:
        import torch

        log.warning("%s does not fit into the memory of %s, going on on the CPU (slower).", self._name, self.device)
        gpu, self._device = self.device, torch.device("cpu")
        self._wanted = ("cpu", "fp32")
        if self._model is not None:
            self._model.to("cpu", torch.float32)
        free_cache(gpu)
