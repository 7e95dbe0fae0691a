"""Runs a program that trains with accelerate, notes when each backward pass ends, and stops it after the last one.

For benchmarks/training.py. What a trainer does when it has trained (files, pictures) is not measured.

python training_timer.py OUTCOME.json STEPS WARM SCRIPT ARGUMENTS...
python training_timer.py OUTCOME.json STEPS WARM -m MODULE ARGUMENTS...
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

STATUS, FORGET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def peak_bytes() -> int:
    """Of the device; on a CPU of the process, since the last `forget_peak` where the system can forget."""
    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    if STATUS.exists():
        found = dict(line.split(":", 1) for line in STATUS.read_text().splitlines() if ":" in line)
        return int(found["VmHWM"].split()[0]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def forget_peak() -> None:
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    elif FORGET.exists():
        FORGET.write_text("5")


def main() -> None:
    outcome, steps, warm, *command = sys.argv[1:]
    times: list[float] = []
    peaks: list[int] = []
    backward = accelerate.Accelerator.backward

    def timed(self: accelerate.Accelerator, *arguments: Any, **more: Any) -> None:
        backward(self, *arguments, **more)
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        times.append(time.perf_counter())
        if len(times) == int(warm):
            peaks.append(peak_bytes())
            forget_peak()
        if len(times) == int(steps):
            peaks.append(peak_bytes())
            found = {"times": times, "peak_bytes": max(peaks), "step_peak_bytes": peaks[-1]}
            Path(outcome).write_text(json.dumps(found), "utf-8")
            raise SystemExit(0)

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


if __name__ == "__main__":
    main()
