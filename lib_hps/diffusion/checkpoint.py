"""Reading a single-file checkpoint without running code from it, and finding out what it holds."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from lib_hps.diffusion.architectures import SD1, SD2, SDXL, Config
from lib_hps.errors import WeightsError

if TYPE_CHECKING:
    import torch

Family = Literal["sd1", "sd2", "sdxl"]
_STANDARD = {"sd1": SD1, "sd2": SD2, "sdxl": SDXL}


@dataclass(frozen=True)
class Checkpoint:
    """The weights of one model and the shape they belong to.

    Attributes:
        path: the file.
        weights: LDM names to tensors, on the CPU, in the file's precision.
        family: which text encoders and conditioning it has.
        config: LDM's configuration: from the yaml beside the file, else the family's standard.
        has_own_config: a yaml was there, so that non-standard text encoders may lie beside it.
    """

    path: Path
    weights: dict[str, torch.Tensor]
    family: Family
    config: Config
    has_own_config: bool


def read_checkpoint(path: Path) -> Checkpoint:
    """Read `.safetensors`, or `.ckpt`/`.pt` through `torch.load(weights_only=True)`, and the `.yaml` of the same stem.

    Raises:
        WeightsError: missing, damaged, holding code, or of a family other than SD1, SD2 and SDXL.
    """
    if not path.is_file():
        raise WeightsError(
            f"There is no checkpoint {path}. Give the path of a .safetensors file of Stable Diffusion 1, 2 or XL."
        )
    weights = read_weights(path)
    family = _family(path, weights)
    config_path = path.with_suffix(".yaml")
    has_own_config = config_path.is_file()
    config = _read_config(config_path) if has_own_config else _STANDARD[family]
    return Checkpoint(path, weights, family, config, has_own_config)


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """Named tensors of a file, without running code from it.

    Raises:
        WeightsError: it cannot be read, or holds more than weights.
    """
    import pickle

    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        found = (
            load_file(path)
            if path.suffix == ".safetensors"
            else torch.load(path, map_location="cpu", weights_only=True)
        )
    except (SafetensorError, OSError, ValueError, EOFError, RuntimeError) as error:
        raise WeightsError(
            f"{path} cannot be read ({error}). It may be damaged or half downloaded: fetch it again."
        ) from error
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{path} holds more than weights (code or foreign objects), so it was not opened. "
            "Use the .safetensors version of the model."
        ) from error
    while isinstance(found, dict) and isinstance(found.get("state_dict"), dict):
        found = found["state_dict"]
    if not isinstance(found, dict):
        raise WeightsError(
            f"{path} holds a {type(found).__name__}, not named weights. Give a checkpoint of SD1, SD2 or SDXL."
        )
    return {key: value for key, value in found.items() if isinstance(key, str) and isinstance(value, torch.Tensor)}


def _family(path: Path, weights: dict[str, torch.Tensor]) -> Family:
    prefixes = {key.split(".", 1)[0] for key in weights}
    if not {"model", "first_stage_model"} <= prefixes:
        raise WeightsError(
            f"{path} is no whole checkpoint: it has {', '.join(sorted(prefixes)[:4]) or 'nothing'}, "
            "but model.* and first_stage_model.* are needed. "
            "A LoRA or a VAE alone cannot draw; Flux and SD3 are not supported."
        )
    if any(key.startswith("conditioner.embedders.1.model.") for key in weights):
        return "sdxl"
    if any(key.startswith("cond_stage_model.transformer.") for key in weights):
        return "sd1"
    if any(key.startswith("cond_stage_model.model.transformer.") for key in weights):
        return "sd2"
    raise WeightsError(
        f"{path} has no text encoder of SD1, SD2 or SDXL (the SDXL refiner is not supported). Choose another one."
    )


def _read_config(path: Path) -> Config:
    import yaml

    try:
        config = yaml.safe_load(path.read_text("utf-8"))
        _ = config["model"]["params"]["first_stage_config"]["params"]  # what every model has
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
        raise WeightsError(
            f"{path} is no model configuration ({type(error).__name__}: {error}). Mend it or move it away."
        ) from error
    return config


def short_hash(path: Path) -> str:
    """The WebUI's "Model hash": the first ten hex digits of the file's SHA-256 (a second or so per GB)."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        for block in iter(lambda: stream.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()[:10]
