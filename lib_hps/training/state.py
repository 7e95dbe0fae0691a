"""Where a run stands, on disk: written whole or not at all, and read back to the last bit."""

from __future__ import annotations

import dataclasses
import json
import logging
import math
import pickle
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lib_hps.errors import InputError, StorageError
from lib_hps.files import atomic_write

if TYPE_CHECKING:
    import torch
    from accelerate import Accelerator

    from lib_hps.training.ema import WeightAverage
    from lib_hps.training.engine_config import EngineConfig

log = logging.getLogger(__name__)

# what may differ between a run and its continuation
_FREE = {"steps", "micro_batch", "save_every", "eval_every", "patience"}


class RunState:
    """The trained weights, the optimiser, and what was measured.

    Attributes:
        step: steps done.
        best_step: step of the best evaluation, None before the first.
        history: {"step": ..., figures} of every evaluation.
    """

    def __init__(
        self,
        folder: Path,
        model: torch.nn.Module,
        optimizer: torch.optim.Optimizer,
        accelerator: Accelerator,
        config: EngineConfig,
        average: WeightAverage | None = None,
    ) -> None:
        self._average = average
        self._folder, self._model, self._optimizer, self._accelerator = folder, model, optimizer, accelerator
        self._settings = json.loads(json.dumps(dataclasses.asdict(config)))
        self.step = 0
        self.best_step: int | None = None
        self.history: list[dict[str, float]] = []

    @property
    def evaluations_without_gain(self) -> int:
        """Evaluations since the best one."""
        return sum(1 for each in self.history if self.best_step is not None and each["step"] > self.best_step)

    def note(self, figures: dict[str, float]) -> None:
        """Keep an evaluation, and the weights where they are the best so far."""
        before = max((each.get("value", -math.inf) for each in self.history), default=-math.inf)
        self.history.append({"step": self.step, **figures})
        if "value" in figures and (self.best_step is None or figures["value"] > before):
            self.best_step = self.step
            self._write("best.pt", {"step": self.step, "weights": self._weights()})

    def save(self) -> None:
        """Write `state.pt`; the file before it stays until this one is whole."""
        scaler = self._accelerator.scaler
        content = {
            "step": self.step,
            "best_step": self.best_step,
            "history": self.history,
            "settings": self._settings,
            "processes": self._accelerator.num_processes,
            "weights": self._weights(),
            "optimizer": self._optimizer.state_dict(),
            "scaler": scaler.state_dict() if scaler is not None else None,
            "average": None if self._average is None else self._average.weights,
        }
        self._write("state.pt", content)

    def load(self) -> None:
        """Take up `state.pt` where there is one.

        Raises:
            InputError: the file is damaged, or belongs to a run with other settings or another model.
        """
        file = self._folder / "state.pt"
        if not file.exists():
            return
        content = self._read(file)
        self._check_settings(file, content["settings"])
        before, now = content.get("processes", 1), self._accelerator.num_processes
        if before != now and self._accelerator.is_main_process:
            log.warning(
                "%s was begun by %d process%s and goes on with %d: same examples and steps, equal weights but for "
                "rounding.", self._folder, before, "" if before == 1 else "es", now,
            )  # fmt: skip
        self._put(content["weights"], file)
        self._optimizer.load_state_dict(content["optimizer"])
        if self._accelerator.scaler is not None and content["scaler"]:
            self._accelerator.scaler.load_state_dict(content["scaler"])
        if self._average is not None:
            self._average.load(content["average"])
        self.step, self.best_step, self.history = content["step"], content["best_step"], content["history"]

    def restore_best(self) -> None:
        """Put the best evaluated weights into the model, where there were evaluations."""
        if self.best_step is not None and self.best_step != self.step:
            self._accelerator.wait_for_everyone()
            file = self._folder / "best.pt"
            self._put(self._read(file)["weights"], file)

    def _weights(self) -> dict[str, torch.Tensor]:
        return {name: p.detach().cpu() for name, p in self._model.named_parameters() if p.requires_grad}

    def _put(self, weights: dict[str, torch.Tensor], file: Path) -> None:
        import torch

        mine = {name: p for name, p in self._model.named_parameters() if p.requires_grad}
        shapes = {name: tuple(p.shape) for name, p in mine.items()}
        if shapes != {name: tuple(tensor.shape) for name, tensor in weights.items()}:
            raise InputError(
                f"{file} holds the weights of another model. Choose another folder, or delete the file to begin anew."
            )
        with torch.no_grad():
            for name, tensor in weights.items():
                mine[name].copy_(tensor)

    def _check_settings(self, file: Path, theirs: dict[str, Any]) -> None:
        for name, value in self._settings.items():
            if name not in _FREE and theirs.get(name) != value:
                raise InputError(
                    f"{file} is of a run with {name} = {theirs.get(name)}, this one has {value}. "
                    "Keep the settings, choose another folder, or delete the file to begin anew."
                )

    def _write(self, name: str, content: dict[str, Any]) -> None:
        import torch

        if self._accelerator.is_main_process:
            file = self._folder / name
            try:
                with atomic_write(file) as stream:
                    torch.save(content, stream)
            except RuntimeError as error:  # torch's own words for a stream that takes no more
                raise StorageError(
                    f"Cannot write {file}: the disk takes no more. Free some space and start again: the run goes on "
                    "from its last state."
                ) from error

    def _read(self, file: Path) -> dict[str, Any]:
        import torch

        try:
            return dict(torch.load(file, map_location="cpu", weights_only=True))
        except (RuntimeError, OSError, ValueError, EOFError, KeyError, pickle.UnpicklingError) as error:
            raise InputError(f"{file} is damaged ({error}). Delete it; the run then begins anew.") from error
