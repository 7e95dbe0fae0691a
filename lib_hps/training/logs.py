"""What a run says while it trains: a JSONL file, TensorBoard where it is installed, and a progress bar."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lib_hps.errors import StorageError
from lib_hps.files import atomic_write

FILE = "log.jsonl"


class TrainingLog:
    """Writes one line per step and per evaluation.

    Args:
        folder: of the run; None (the processes other than the first) writes nothing.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._stream: Any = None
        self._board: Any = None
        self._bar: Any = None

    def resume(self, step: int) -> None:
        """Open the log behind `step`: later lines are of a run that was killed before it saved its state."""
        if self._folder is None:
            return
        file = self._folder / FILE
        kept = [line for line in _lines(file) if line["step"] <= step]
        with atomic_write(file, "w") as stream:
            stream.writelines(json.dumps(line) + "\n" for line in kept)
        self._stream = open(file, "a", encoding="utf-8")  # noqa: SIM115 - open for the whole run
        self._board = _tensorboard(self._folder, step)

    def step(self, step: int, steps: int, figures: dict[str, float]) -> None:
        """Note a step."""
        if self._folder is None:
            return
        from tqdm import tqdm

        if self._bar is None:
            self._bar = tqdm(total=steps, initial=step - 1, unit="step", desc="training", mininterval=0.5)
        self._bar.update(1)
        self._bar.set_postfix(loss=f"{figures['loss']:.4f}", refresh=False)
        self._write("step", step, figures)

    def note(self, kind: str, step: int, figures: dict[str, float]) -> None:
        """Note anything else; no bar moves."""
        self._write(kind, step, figures)

    def evaluation(self, step: int, figures: dict[str, float]) -> None:
        """Note an evaluation."""
        self._write("evaluation", step, figures)

    def close(self) -> None:
        """Flush and close."""
        for part in (self._stream, self._board, self._bar):
            if part is not None:
                part.close()

    def _write(self, kind: str, step: int, figures: dict[str, float]) -> None:
        if self._folder is None:
            return
        try:
            self._stream.write(json.dumps({"kind": kind, "step": step, **figures}) + "\n")
            self._stream.flush()
            if self._board is not None:
                for name, value in figures.items():
                    self._board.add_scalar(f"{kind}/{name}", value, step)
        except OSError as error:
            self._stream = None  # closing it would fail again
            raise StorageError(
                f"Cannot write {self._folder / FILE}: {error.strerror}. Free some space and start again: the run goes "
                "on from its last state."
            ) from error


def _lines(file: Path) -> list[dict[str, Any]]:
    """Whole lines alone: the last one may have been cut off."""
    if not file.exists():
        return []
    found = []
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


def _tensorboard(folder: Path, step: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)
