"""LoRA files of other layouts: diffusers 0.13's attention processors, diffusers and peft <-> kohya's.

Only kohya's layout has an alpha; for the others alpha / rank is multiplied into the up matrix, so nothing is lost.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from lib_hps.diffusion.lora_file import LoraPair, pairs_of, tensors_of
from lib_hps.diffusion.lora_names import LoraNames, Module, Part
from lib_hps.errors import InputError, WeightsError

if TYPE_CHECKING:
    from torch import Tensor

Layout = Literal["kohya", "diffusers", "peft"]
_KEY = re.compile(
    r"^(?:base_model\.model\.)?(?:(unet|text_encoder|text_encoder_2)\.)?(.+?)"
    r"(?:\.processor\.(to_[qkv]|to_out)_lora\.(down|up)|\.lora\.(down|up)|\.lora_(A|B)(?:\.default)?)\.weight$"
)
_DOWN = {"down", "A"}
_PUBLISHED = re.compile(r"\.attn[12]\.processor\.to_(?:[qkv]|out)_lora\.(?:down|up)\.weight$")
_PUBLISHED_COUNT = 256


def modules_of(tensors: Mapping[str, Tensor], path: Path, names: LoraNames) -> dict[Module, LoraPair]:
    """Every pair of a file of any known layout.

    Raises:
        WeightsError: a key that is no weight of a LoRA, or half a pair; named.
    """
    if all(key.startswith("lora_") for key in tensors):
        try:
            return {names.read(name): pair for name, pair in pairs_of(tensors, path).items()}
        except InputError as error:
            raise WeightsError(f"{path}: {error}") from error
    halves: dict[Module, dict[str, Tensor]] = {}
    unknown = []
    for key, value in tensors.items():
        found = _KEY.match(key)
        if found is None:
            unknown.append(key)
            continue
        given, inner, projection, *ends = found.groups()
        part: Part = given or "unet"  # type: ignore[assignment]
        if projection:
            inner += ".to_out.0" if projection == "to_out" else f".{projection}"
        end = next(end for end in ends if end)
        halves.setdefault((part, inner), {})["down" if end in _DOWN else "up"] = value
    missing = [".".join(key) for key, both in halves.items() if len(both) < 2]
    if unknown or missing or not halves:
        words = f"unknown keys: {', '.join(unknown[:4]) or '-'}; halves missing of: {', '.join(missing[:4]) or '-'}"
        raise WeightsError(f"{path} is not converted ({len(unknown)} and {len(missing)}): {words}.")
    if names == LoraNames.standard(is_sdxl=False) and all(_PUBLISHED.search(key) for key in tensors):
        _check_published(len(tensors), path)
    return {key: LoraPair(both["down"], both["up"], float(both["down"].shape[0])) for key, both in halves.items()}


def _check_published(count: int, path: Path) -> None:
    if count != _PUBLISHED_COUNT:
        raise WeightsError(f"{path} has {count} tensors of attention processors; SD1 has {_PUBLISHED_COUNT}.")


def written(modules: Mapping[Module, LoraPair], layout: Layout, names: LoraNames) -> dict[str, Tensor]:
    """The tensors of a file.

    Raises:
        InputError: a module without a name there.
    """
    if layout == "kohya":
        return tensors_of({names.write(part, path): pair for (part, path), pair in modules.items()})
    ends = {"diffusers": ("lora.down", "lora.up"), "peft": ("lora_A", "lora_B")}[layout]
    found: dict[str, Tensor] = {}
    for (part, path), pair in modules.items():
        if pair.mid is not None:
            raise InputError(f"{path} is split in three (CP), which the layout of {layout} cannot hold.")
        scaled = pair.up if pair.alpha == pair.rank else pair.up * (pair.alpha / pair.rank)
        for end, tensor in zip(ends, (pair.down, scaled), strict=True):
            found[f"{part}.{path}.{end}.weight"] = tensor.contiguous()
    return found
