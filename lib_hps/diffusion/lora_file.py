"""A LoRA file in the layout that WebUIs read (kohya's): `<name>.lora_down.weight`, `.lora_up.weight`, `.alpha`."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lib_hps.errors import WeightsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

DOWN, UP, MID, ALPHA = "lora_down.weight", "lora_up.weight", "lora_mid.weight", "alpha"
_OTHER_KINDS = ("dora_scale", "hada_w1_a", "lokr_w1", "lokr_w1_a", "oft_blocks", "oft_diag", "on_input", "diff", "bias")


@dataclass(frozen=True)
class LoraPair:
    """The change of one module: scale * up @ down.

    Attributes:
        down: (rank, in), of a convolution (rank, in, kh, kw).
        up: (out, rank), of a convolution (out, rank, 1, 1).
        alpha: the change is scaled by alpha / rank.
        mid: (rank, rank, kh, kw) where a convolution is split in three (CP), else None.
    """

    down: Tensor
    up: Tensor
    alpha: float
    mid: Tensor | None = None

    @property
    def rank(self) -> int:
        """Of the change."""
        return int(self.down.shape[0])

    def delta(self, shape: tuple[int, ...]) -> Tensor:
        """The change of a weight of `shape` at strength 1, float32, on the pair's device.

        Raises:
            ValueError: the pair belongs to a weight of another shape.
        """
        import torch

        down, up = self.down.float(), self.up.float()
        if self.mid is not None:
            product = torch.einsum("nmkl,in,mj->ijkl", self.mid.float(), up.flatten(1), down.flatten(1))
        else:
            product = (up.flatten(1) @ down.flatten(1)).reshape(up.shape[0], *down.shape[1:])  # (out, in[, kh, kw])
        if product.numel() != math.prod(shape) or product.shape[0] != shape[0]:
            raise ValueError(f"{tuple(product.shape)} instead of {tuple(shape)}")
        return product.reshape(shape) * (self.alpha / self.rank)


@dataclass(frozen=True)
class LoraFile:
    """What a file holds.

    Attributes:
        pairs: by module name, such as `lora_unet_mid_block_attentions_0_proj_in`.
        metadata: the safetensors header's, such as "ss_output_name".
    """

    path: Path
    pairs: Mapping[str, LoraPair]
    metadata: Mapping[str, str]


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of `.safetensors`, or of a pickle through `torch.load(weights_only=True)`.

    Raises:
        WeightsError: missing, damaged, or holding more than weights.
    """
    import pickle

    import torch
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise WeightsError(f"There is no file {path}. Give the path of a LoRA file.")
    try:
        if path.suffix.lower() == ".safetensors":
            with safe_open(path, framework="pt") as opened:
                return {key: opened.get_tensor(key) for key in opened.keys()}, dict(opened.metadata() or {})  # noqa: SIM118
        found = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, OSError, ValueError, EOFError, RuntimeError) as error:
        raise WeightsError(f"{path} cannot be read ({error}). It may be damaged: fetch it again.") from error
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{path} holds more than weights (code or foreign objects), so it was not opened. Use a .safetensors file."
        ) from error
    if not isinstance(found, dict) or not all(isinstance(value, torch.Tensor) for value in found.values()):
        raise WeightsError(f"{path} holds no plain list of named weights. Give a LoRA file.")
    return {str(key): value for key, value in found.items()}, {}


def read_lora(path: Path) -> LoraFile:
    """Read a file of kohya's layout, complete or not at all.

    Raises:
        WeightsError: unreadable, of another layout or kind (named), or with half a pair.
    """
    tensors, metadata = read_tensors(path)
    return LoraFile(path, pairs_of(tensors, path), metadata)


def pairs_of(tensors: Mapping[str, Tensor], path: Path) -> dict[str, LoraPair]:
    """Tensors of kohya's layout by module.

    Raises:
        WeightsError: as `read_lora`.
    """
    modules: dict[str, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        name, _, kind = key.partition(".")
        if kind not in (DOWN, UP, MID, ALPHA) or not name.startswith("lora_"):
            raise WeightsError(f"{path} {_why_not(key, kind)}")
        modules.setdefault(name, {})[kind] = value
    if not modules:
        raise WeightsError(f"{path} holds no weights at all.")
    pairs = {}
    for name, found in modules.items():
        if DOWN not in found or UP not in found:
            raise WeightsError(f"{path}: {name} has no {UP if DOWN in found else DOWN}. The file is incomplete.")
        if not all(bool(tensor.isfinite().all()) for tensor in found.values()):
            raise WeightsError(f"{path}: {name} holds NaN or infinity. Training went wrong: use an earlier one.")
        down, up = found[DOWN], found[UP]
        if up.ndim < 2 or down.ndim < 2 or up.shape[1] != down.shape[0]:
            raise WeightsError(f"{path}: {name} has a down of {tuple(down.shape)} and an up of {tuple(up.shape)}.")
        alpha = float(found[ALPHA]) if ALPHA in found else float(down.shape[0])
        pairs[name] = LoraPair(down, up, alpha, found.get(MID))
    return pairs


def _why_not(key: str, kind: str) -> str:
    if any(kind.startswith(other) for other in _OTHER_KINDS):
        return f"is no plain LoRA: it holds {key!r} (DoRA, LoHa, LoKr, OFT and the like are not supported)."
    if any(word in key for word in ("lora_A", "lora.down", "_lora.down", "processor.", "lora.up", "lora_B")):
        return f"is in the layout of diffusers or peft ({key!r}). Convert it first: hps convert IN OUT --to kohya."
    return f"holds {key!r}, which is no weight of a LoRA."


def tensors_of(pairs: Mapping[str, LoraPair]) -> dict[str, Tensor]:
    """The other way: kohya's keys to contiguous tensors."""
    import torch

    found: dict[str, Tensor] = {}
    for name, pair in pairs.items():
        found[f"{name}.{DOWN}"], found[f"{name}.{UP}"] = pair.down.contiguous(), pair.up.contiguous()
        if pair.mid is not None:
            found[f"{name}.{MID}"] = pair.mid.contiguous()
        found[f"{name}.{ALPHA}"] = torch.tensor(pair.alpha, dtype=pair.down.dtype)
    return found


def addnet_hash(path: Path) -> str:
    """The hash that WebUIs know a LoRA by: SHA-256 of a safetensors file without its header; of another file, whole."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        if path.suffix.lower() == ".safetensors":
            stream.seek(8 + int.from_bytes(stream.read(8), "little"))
        for block in iter(lambda: stream.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()
