"""The model that is adapted, in parts: what draws, what encodes, and its noise schedule."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lib_hps.diffusion.checkpoint import Checkpoint, read_checkpoint
from lib_hps.diffusion.schedules import NoiseSchedule
from lib_hps.errors import InputError

if TYPE_CHECKING:
    import torch

    from lib_hps.diffusion.checkpoint import Family
    from lib_hps.diffusion.loading import TextTower
    from lib_hps.diffusion.pipeline import Pipeline


@dataclass
class BaseModel:
    """A frozen checkpoint on its device.

    Attributes:
        unet: diffusers' UNet2DConditionModel.
        vae: diffusers' AutoencoderKL, in float32 (SDXL's overflows in half precision).
        towers: one text encoder for SD1 and SD2, two for SDXL.
        is_v: it predicts v, not eps.
    """

    path: Path
    family: Family
    unet: Any
    vae: Any
    towers: list[TextTower]
    schedule: NoiseSchedule
    is_v: bool
    config: dict[str, Any]
    device: torch.device

    @property
    def native_side_px(self) -> int:
        """Side of the squares that it was trained on."""
        return 8 * int(self.config.get("image_size", 128 if self.family == "sdxl" else 64))

    @property
    def step_px(self) -> int:
        """Pictures have sides of a multiple of this: 8 pixels a latent, halved by every level of the UNet."""
        return 8 * 2 ** (len(self.unet.config.block_out_channels) - 1)

    @cached_property
    def vae_hash(self) -> str:
        """Of the autoencoder's weights."""
        return _hash([self.vae])

    @cached_property
    def text_hash(self) -> str:
        """Of the text encoders' weights; ask before they are adapted."""
        return _hash(tower.model for tower in self.towers)

    def pipeline(self) -> Pipeline:
        """A pipeline over these very modules: it draws with the adapter as it is now."""
        from lib_hps.diffusion.decoding import Decoder
        from lib_hps.diffusion.pipeline import Pipeline

        return Pipeline(
            self.path,
            family=self.family,
            unet=self.unet,
            decoder=Decoder(self.vae, family=self.family),
            towers=self.towers,
            config=self.config,
            is_v=self.is_v,
        )


def load_base(
    path: Path, *, vae: Path | None = None, device: str = "auto", dtype: torch.dtype | None = None
) -> BaseModel:
    """Load a single-file checkpoint for training, frozen.

    Args:
        path: `.safetensors`, or `.ckpt` that holds nothing but weights; a yaml of the same stem describes other sizes.
        vae: a file with another autoencoder, in LDM's layout.
        device: "auto", "cpu", "cuda", "cuda:1", "mps".
        dtype: of the UNet and the text encoders; None is float32.

    Raises:
        WeightsError, InputError: a file cannot be used.
    """
    import torch

    from lib_hps.diffusion.devices import quiet_diffusers
    from lib_hps.diffusion.loading import TextTower, load_text_towers, load_unet, load_vae, prediction
    from lib_hps.scoring.device import resolve_device

    where, precision = resolve_device(device), dtype or torch.float32
    read = read_checkpoint(path)
    if vae is not None:
        _replace_vae(read, vae)
    with quiet_diffusers():
        autoencoder = load_vae(read, torch.float32).to(where)
        unet = load_unet(read, precision).to(where)
    towers = [TextTower(tower.model.to(where), tower.tokenizer) for tower in load_text_towers(read, precision)]
    params, is_v = prediction(read, unet)
    schedule = NoiseSchedule(
        params.get("linear_start", 0.00085), params.get("linear_end", 0.012), params.get("timesteps", 1000)
    )
    return BaseModel(path, read.family, unet, autoencoder, towers, schedule, is_v, params, where)


def _replace_vae(checkpoint: Checkpoint, file: Path) -> None:
    from lib_hps.diffusion.checkpoint import read_weights

    prefix = "first_stage_model."
    given = {key.removeprefix(prefix): value for key, value in read_weights(file).items()}
    wanted = [key for key in checkpoint.weights if key.startswith(prefix)]
    missing = [key for key in wanted if key.removeprefix(prefix) not in given]
    if missing:
        raise InputError(f"{file} is no autoencoder for {checkpoint.path}: it lacks {missing[0].removeprefix(prefix)}.")
    for key in wanted:
        checkpoint.weights[key] = given[key.removeprefix(prefix)]


def _hash(modules: Iterable[Any]) -> str:
    import torch

    digest = hashlib.sha256()
    for module in modules:
        for name, tensor in sorted(module.state_dict().items()):
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
