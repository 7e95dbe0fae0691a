"""`hps train-scorer` in processes of its own, to be killed. Also used by benchmarks/training_kills.py."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

ROOT = Path(__file__).parents[2]
LAUNCH = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node")


@dataclass(frozen=True)
class Runs:
    """Where runs of one command lie.

    Attributes:
        data: the choices.
        folder: for run, cache and outcome of every run.
        settings: flags of every run.
    """

    data: Path
    folder: Path
    settings: Sequence[str]

    def run(self, name: str) -> Path:
        """The run's folder."""
        return self.folder / name / "run"

    def out(self, name: str) -> Path:
        """The classifier that it writes."""
        return self.folder / name / "taste.safetensors"

    def cached(self, name: str) -> int:
        """Pictures in its cache."""
        return sum(1 for _ in (self.folder / name / "cache").rglob("*.safetensors"))

    def arguments(self, name: str, *more: str) -> list[str]:
        """Of the command."""
        places = ["--out", str(self.out(name)), "--run", str(self.run(name))]
        return ["train-scorer", str(self.data), *places, "--device", "cpu", *self.settings, *more]

    def start(self, name: str, *more: str, processes: int = 0, **popen: Any) -> subprocess.Popen[str]:
        """Start it in a process of its own; under torchrun where `processes` says so."""
        launch = [*LAUNCH, str(processes)] if processes else []
        return subprocess.Popen(
            [sys.executable, *launch, "-m", *(["--"] if launch else []), "lib_hps.cli", *self.arguments(name, *more)],
            env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **self._places(name)},
            text=True,
            **{"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, **popen},
        )

    def finish(self, name: str, *more: str) -> dict[str, bytes]:
        """Run it to its end in this process, with one thread, and give the bytes of every tensor of the classifier."""
        import torch
        from safetensors.torch import load_file

        from lib_hps.cli import main

        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            with mock.patch.dict(os.environ, self._places(name)):
                status = main(self.arguments(name, *more))
        finally:
            torch.set_num_threads(threads)
        if status:
            raise RuntimeError(f"train-scorer ended with {status}")
        return {name: tensor.numpy().tobytes() for name, tensor in load_file(self.out(name)).items()}

    def kill_when(self, name: str, is_time: Callable[[], bool]) -> bool:
        """Start it, SIGKILL it when `is_time()` is true, and say whether it was still running."""
        process = self.start(name)
        while process.poll() is None and not is_time():
            time.sleep(0.01)
        was_running = process.poll() is None
        process.kill()
        process.communicate()
        return was_running

    def kill_when_it_says(self, name: str, words: str) -> bool:
        """Start it on a terminal, SIGKILL it when `words` are on the screen, and say whether it was still running."""
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))  # on none, no bar is drawn
        process = self.start(name, stderr=theirs)
        os.close(theirs)
        screen = b""
        with contextlib.suppress(OSError):  # what Linux gives when nobody holds the other side any more
            while words.encode() not in screen and (part := os.read(ours, 4096)):
                screen += part
        was_running = process.poll() is None
        process.kill()
        process.wait()
        os.close(ours)
        return was_running and words.encode() in screen

    def _places(self, name: str) -> dict[str, str]:
        return {"XDG_CACHE_HOME": str(self.folder / name / "cache")}


def lines(file: Path) -> int:
    """Whole lines of a log that may not be there yet."""
    return file.read_bytes().count(b"\n") if file.exists() else 0
