"""Reading weight files safely, and loading CLIP from any layout in which it is published.

Tensors come from safetensors or from `torch.load(weights_only=True)` alone, memory-mapped where the format permits.
Importing this module imports no torch.
"""

from __future__ import annotations

import os
import pickle
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lib_hps.errors import InputError, WeightsError
from lib_hps.scoring.clip.config import CONFIG_KEY, ClipConfig
from lib_hps.scoring.clip.header import AGAIN, DAMAGE, Header, is_safetensors, safetensors_header, sniff
from lib_hps.scoring.clip.layouts import to_open_clip_layout

if TYPE_CHECKING:
    import torch

    from lib_hps.scoring.clip.model import Clip

__all__ = ["Header", "load_clip", "read_header", "read_state_dict", "to_open_clip_layout"]

_WRAPPERS = ("state_dict", "model_state_dict", "model")
_WRAPPING = re.compile(r"(module\.|_orig_mod\.)+")  # DistributedDataParallel, torch.compile


def _load_torch(path: Path, start: bytes) -> Any:
    """`torch.load` without code execution.

    Raises:
        WeightsError: TorchScript, a pickle that needs code, or damaged bytes.
    """
    from torch.serialization import load  # A1111 puts a function of its own in torch.load's place

    is_zip = start.startswith(b"PK")
    if not is_zip and not start.startswith(b"\x80"):
        raise WeightsError(f"{path} is neither safetensors nor a PyTorch file (it begins {start[:16]!r}). {AGAIN}")
    try:
        if is_zip:
            with zipfile.ZipFile(path) as archive:
                names = archive.namelist()
            if any(name.endswith("/constants.pkl") for name in names):
                raise WeightsError(
                    f"{path} is a TorchScript archive (code), such as OpenAI's original ViT-L-14.pt, and is not run. "
                    "Use the same model's model.safetensors or open_clip_model.safetensors from the Hugging Face hub."
                )
        if path.suffix.lower() == ".safetensors":  # misnamed; newer versions of torch.load go by the ending
            with path.open("rb") as stream:
                return load(stream, map_location="cpu", weights_only=True)
        return load(str(path), map_location="cpu", weights_only=True, mmap=is_zip)  # torch 2.1 maps no Path
    except pickle.UnpicklingError as error:
        found = re.search(r"(?:GLOBAL|class|function|type) ([\w]+(?:\.\w+)+)", str(error))
        what = f"holds {found.group(1)}, which could run code" if found else "is damaged, or holds more than tensors"
        raise WeightsError(
            f"{path} {what}, so it was not loaded. Use a .safetensors version, or save its state_dict alone."
        ) from error
    except (*DAMAGE, OSError, zipfile.BadZipFile) as error:
        raise WeightsError(f"{path} is damaged or only half downloaded ({type(error).__name__}). {AGAIN}") from error


def _unwrap(loaded: Any, path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """The state dict inside {"state_dict": ...} and the like, and the plain values beside it as metadata."""
    metadata: dict[str, str] = {}
    while isinstance(loaded, Mapping):
        inner = next((loaded[key] for key in _WRAPPERS if isinstance(loaded.get(key), Mapping)), None)
        if inner is None:
            return dict(loaded), metadata
        metadata |= {str(k): str(v) for k, v in loaded.items() if isinstance(v, (str, int, float, bool))}
        loaded = inner
    raise WeightsError(f"{path} holds a {type(loaded).__name__}, not a state dict. Save model.state_dict() instead.")


def read_state_dict(path: str | os.PathLike[str]) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """The tensors of a weight file on the CPU, and its metadata.

    Wrappers (`state_dict`, `model`) and the prefix `module.` are taken off. Tensors of a zip or safetensors file are
    mapped, not read: memory is used once they are touched, and a change to them never reaches the file.

    Raises:
        WeightsError: missing, empty, damaged, no weights, TorchScript, or a pickle that needs code.
    """
    import torch

    file = Path(path)
    start, _ = sniff(file)
    if is_safetensors(file, start):
        from safetensors import SafetensorError, safe_open

        metadata = safetensors_header(file).metadata
        try:
            with safe_open(file, framework="pt", device="cpu") as opened:
                tensors: dict[str, Any] = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
        except (SafetensorError, *DAMAGE) as error:
            raise WeightsError(f"{file} is damaged: {error}. {AGAIN}") from error
    else:
        tensors, metadata = _unwrap(_load_torch(file, start), file)
    for name, tensor in tensors.items():
        if not isinstance(name, str) or not isinstance(tensor, torch.Tensor):
            raise WeightsError(
                f"{file}: the entry {name!r} is a {type(tensor).__name__}, not a tensor. Save model.state_dict() alone."
            )
    if not tensors:
        raise WeightsError(f"{file} holds no tensors. {AGAIN}")
    if all(_WRAPPING.match(name) for name in tensors):
        tensors = {_WRAPPING.sub("", name, count=1): tensor for name, tensor in tensors.items()}
    return tensors, metadata


def read_header(path: str | os.PathLike[str]) -> Header:
    """Shapes and metadata without the weights: instant for safetensors, and without torch; a mapped read for others.

    Raises:
        WeightsError: as `read_state_dict`.
    """
    file = Path(path)
    start, size = sniff(file)
    if is_safetensors(file, start):
        return safetensors_header(file)
    tensors, metadata = read_state_dict(file)
    return Header("torch", size, metadata, {name: tuple(tensor.shape) for name, tensor in tensors.items()})


def load_clip(
    path: str | os.PathLike[str],
    *,
    quick_gelu: bool,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | None = None,
    config: ClipConfig | None = None,
) -> Clip:
    """A CLIP of any published layout, in evaluation mode, with its weights in memory once.

    Args:
        path: the weight file.
        quick_gelu: the activation; a file that states its own configuration (`hps_config`) overrides it.
        device: where the towers go.
        dtype: in which they compute; None is fp32. `logit_scale` stays fp32: its exponential needs the digits.
        config: the architecture that the file must have; None infers it from the file.

    Raises:
        WeightsError: as `read_state_dict`, or the architecture does not fit; names keys and shapes.
    """
    tensors, metadata = read_state_dict(path)
    if config is None and CONFIG_KEY in metadata:
        try:
            config = ClipConfig.from_json(metadata[CONFIG_KEY])
        except InputError as error:
            raise WeightsError(f"{path}: {error} Save the file again with ClipConfig.to_json().") from error
    from lib_hps.scoring.clip.loading import clip_from_tensors

    return clip_from_tensors(
        tensors, quick_gelu=quick_gelu, device=device, dtype=dtype, config=config, source=str(path)
    )
