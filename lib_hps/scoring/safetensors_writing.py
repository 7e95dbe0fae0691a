"""Writing `.safetensors` tensor by tensor: the library's own `save` holds the whole file in memory twice.

The format: eight bytes with the length of the header, the header as JSON, then the tensors' bytes one behind the other.
The same tensors and metadata give the same bytes, which the library's writer does not promise of the metadata.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import IO, TYPE_CHECKING, Any

from lib_hps.errors import InputError

if TYPE_CHECKING:
    import torch

_ALIGNMENT = 8


def write_tensors(stream: IO[bytes], tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]) -> None:
    """Write tensors and metadata; one tensor at a time is copied.

    Raises:
        InputError: a tensor of a type that the format does not have.
    """
    import torch

    names = {
        torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64",
        torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL",
    }  # fmt: skip
    # wide types first, as the library does, so that every tensor begins at a multiple of its size
    order = sorted(tensors, key=lambda name: (-tensors[name].element_size(), name))
    header: dict[str, Any] = {"__metadata__": dict(sorted(metadata.items()))}
    at = 0
    for name in order:
        tensor = tensors[name]
        if tensor.dtype not in names:
            raise InputError(f"{name} has the type {tensor.dtype}, which a .safetensors file cannot hold.")
        size = tensor.numel() * tensor.element_size()
        header[name] = {"dtype": names[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode("utf-8")
    text += b" " * (-len(text) % _ALIGNMENT)
    stream.write(struct.pack("<Q", len(text)) + text)
    for name in order:
        flat = tensors[name].detach().cpu().contiguous().reshape(-1)
        stream.write(flat.view(torch.uint8).numpy().data)
