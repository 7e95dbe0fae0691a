"""Choosing device and precision, recognising what ran out of memory, and giving memory back."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from lib_hps.errors import InputError

if TYPE_CHECKING:
    import torch

_DTYPES = {"bf16": "bfloat16", "fp16": "float16", "fp32": "float32"}


def resolve_device(device: str | torch.device = "auto") -> torch.device:
    """The device asked for, or the best one here: cuda, then mps, then cpu.

    Raises:
        InputError: not a device, or one that this machine lacks.
    """
    import torch

    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        resolved = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise InputError(f"{device!r} is not a device. Use auto, cpu, cuda, cuda:1 or mps.") from error
    if resolved.type == "cuda" and (resolved.index or 0) >= torch.cuda.device_count():
        raise InputError(f"Device {device!r} is not here: torch sees {torch.cuda.device_count()} CUDA devices.")
    if resolved.type == "mps" and not torch.backends.mps.is_available():
        raise InputError("Device 'mps' is not here. Use cpu.")
    return resolved


def must_launch_on_cpu() -> bool:
    """Whether the processes of a launcher have to be told that they compute on the CPU.

    Without that word accelerate takes each of them for the only one where no GPU is found.
    """
    import torch

    is_launched = int(os.environ.get("WORLD_SIZE", "1")) > 1
    return is_launched and not torch.cuda.is_available()


def cpu_computes_bf16() -> bool:
    """Whether this CPU multiplies bf16 by instructions of its own (AVX512-BF16 or AMX), about twice as fast as fp32.

    False where this PyTorch cannot tell: emulated bf16 is slower than fp32.
    """
    import torch

    probes = (getattr(torch.cpu, f"_is_{name}_supported", None) for name in ("avx512_bf16", "amx_tile"))
    return any(probe() for probe in probes if probe is not None)


def resolve_dtype(dtype: str | torch.dtype, device: torch.device, *, is_large: bool = False) -> torch.dtype:
    """The precision asked for, or by device.

    bf16 on a GPU that computes in it, else fp16; fp32 on mps and on a CPU, but for a large model bf16 there too if the
    CPU has instructions for it.

    Raises:
        InputError: not one of auto, bf16, fp16, fp32 (or their long names).
    """
    import torch

    if isinstance(dtype, torch.dtype):
        name = str(dtype).removeprefix("torch.")
    elif dtype == "auto":
        if device.type == "cpu" and is_large and cpu_computes_bf16():
            return torch.bfloat16
        if device.type != "cuda":
            return torch.float32
        # is_bf16_supported() also says yes where bf16 is only emulated, and slow
        return torch.bfloat16 if torch.cuda.get_device_capability(device) >= (8, 0) else torch.float16
    else:
        name = _DTYPES.get(dtype, dtype)
    if name not in _DTYPES.values():
        raise InputError(f"dtype {dtype!r} is not known. Use auto, bf16, fp16 or fp32.")
    chosen: torch.dtype = getattr(torch, name)
    return chosen


def is_out_of_memory(error: BaseException) -> bool:
    """True for CUDA's error and for what mps, cuBLAS and the CPU allocator say in a plain RuntimeError."""
    import torch

    if isinstance(error, torch.cuda.OutOfMemoryError):
        return True
    words = str(error).lower()
    return isinstance(error, RuntimeError) and any(
        sign in words for sign in ("out of memory", "alloc_failed", "can't allocate memory")
    )


def free_cache(device: torch.device) -> None:
    """Give the memory that torch keeps in reserve on `device` back to the other programs."""
    import torch

    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()
