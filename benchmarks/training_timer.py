"""Runs a program that trains with accelerate and notes when each backward pass ends; for benchmarks/training_lora.py.

python training_timer.py OUTCOME.json SCRIPT ARGUMENTS...
python training_timer.py OUTCOME.json -m MODULE ARGUMENTS...
"""

from __future__ import annotations

import json
import resource
import runpy
import sys
import time
from pathlib import Path
from typing import Any

import accelerate
import torch


def main() -> None:
    outcome, *command = sys.argv[1:]
    times: list[float] = []
    backward = accelerate.Accelerator.backward

    def timed(self: accelerate.Accelerator, *arguments: Any, **more: Any) -> None:
        backward(self, *arguments, **more)
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        times.append(time.perf_counter())

    accelerate.Accelerator.backward = timed  # type: ignore[method-assign]
    try:
        if command[0] == "-m":
            sys.argv = command[1:]
            runpy.run_module(command[1], run_name="__main__", alter_sys=True)
        else:
            sys.argv = command
            sys.path.insert(0, str(Path(command[0]).parent))
            runpy.run_path(command[0], run_name="__main__")
    except SystemExit as end:
        if end.code:
            raise
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    if torch.cuda.is_available():
        peak = torch.cuda.max_memory_allocated()
    Path(outcome).write_text(json.dumps({"times": times, "peak_bytes": peak}), "utf-8")


if __name__ == "__main__":
    main()
