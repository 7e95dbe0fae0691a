"""Where and in which precision to draw."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lib_hps.errors import InputError

if TYPE_CHECKING:
    import torch


def choose_dtype(name: str, device: torch.device) -> torch.dtype:
    """Resolve "auto" to float16 on a GPU and float32 elsewhere.

    Raises:
        InputError: no such precision.
    """
    import torch

    names = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
    if name == "auto":
        return torch.float32 if device.type == "cpu" else torch.float16
    if name not in names:
        raise InputError(f"There is no precision {name!r}. Choose auto, {', '.join(names)}.")
    return names[name]


@contextmanager
def quiet_diffusers() -> Iterator[None]:
    """Keep diffusers' notes for its developers off the user's screen; errors still show."""
    from diffusers.utils import logging

    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(before)
