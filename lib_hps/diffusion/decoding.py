"""Latents to pictures: the VAE for what is kept, something cheaper for what is only looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lib_hps.diffusion.architectures import LATENT_RGB
from lib_hps.diffusion.devices import quiet_diffusers
from lib_hps.errors import WeightsError

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

_SMALL_VAE_PARAMETERS = 10_000_000
_SMALL_LATENT = 32 * 32


class Decoder:
    """Wraps the VAE of one model.

    Args:
        vae: diffusers' AutoencoderKL.
        family: "sd1", "sd2" or "sdxl": the colours of its latents.
    """

    def __init__(self, vae: Any, *, family: str) -> None:
        self._vae, self._family = vae, family
        self._is_small = sum(parameter.numel() for parameter in vae.parameters()) < _SMALL_VAE_PARAMETERS

    def decode(self, latent: Tensor) -> Image:
        """(C, h, w) -> RGB picture of 8h x 8w. One at a time, so that the result does not depend on the batch.

        A VAE that overflows in half precision (SDXL's does) is moved to float32 for good.

        Raises:
            WeightsError: the model gave numbers that are none.
        """
        import torch

        if not bool(latent.isfinite().all()):
            raise WeightsError(
                "The model drew NaN instead of a picture. Its weights are damaged, or it needs --dtype float32."
            )
        with torch.no_grad():
            pixels = self._raw(latent)
            if not bool(pixels.isfinite().all()) and self._vae.dtype != torch.float32:
                with quiet_diffusers():
                    self._vae.to(torch.float32)
                pixels = self._raw(latent)
        return _image(pixels[0])

    def encode(self, image: Image, *, seed: int | None = None) -> Tensor:
        """RGB picture of 8h x 8w -> (1, C, h, w).

        Args:
            seed: of a draw from the VAE's posterior, as the WebUI's hires fix takes it; None is the posterior's mean.
        """
        import numpy as np
        import torch

        pixels = torch.from_numpy(np.asarray(image.convert("RGB"), dtype=np.float32) / 127.5 - 1)  # (H, W, 3)
        pixels = pixels.permute(2, 0, 1)[None].to(self._vae.device, self._vae.dtype)
        with torch.no_grad():
            posterior = self._vae.encode(pixels, return_dict=False)[0]
        latent = posterior.mode().float()
        if seed is not None:
            noise = torch.randn(latent.shape, generator=torch.Generator("cpu").manual_seed(seed))
            latent = latent + posterior.std.float() * noise.to(latent.device)
        return latent * self._vae.config.scaling_factor

    def _raw(self, latent: Tensor) -> Tensor:
        scaled = latent[None] / self._vae.config.scaling_factor
        return self._vae.decode(scaled.to(self._vae.dtype), return_dict=False)[0].float()  # (1, 3, H, W) in -1..1

    def preview(self, latents: Tensor) -> list[Image]:
        """(B, C, h, w) -> small pictures: decoded where that is cheap, else a linear map to colours."""
        import torch

        if self._is_small and latents.shape[-1] * latents.shape[-2] <= _SMALL_LATENT:
            with torch.no_grad():
                return [_image(self._raw(latent)[0]) for latent in latents]
        factors = torch.tensor(LATENT_RGB[self._family], device=latents.device)
        channels = min(len(factors), latents.shape[1])
        colours = torch.einsum("bchw,cr->brhw", latents[:, :channels].float(), factors[:channels])
        return [_image(colour) for colour in colours]


def _image(pixels: Tensor) -> Image:
    """(3, H, W) in -1..1 -> RGB, cut off to 8 bits as the WebUI does (no rounding)."""
    import numpy as np
    from PIL import Image

    scaled = ((pixels + 1) / 2).nan_to_num().clamp(0, 1).permute(1, 2, 0).cpu().numpy() * 255.0
    return Image.fromarray(scaled.astype(np.uint8))
