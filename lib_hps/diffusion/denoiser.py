"""Classifier-free guidance over diffusers' UNet, for both ways of prediction and both kinds of conditioning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lib_hps.diffusion.conditioning import Conditioning
from lib_hps.diffusion.schedules import NoiseSchedule

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Guidance:
    """The two prompts and the scale of classifier-free guidance (Ho & Salimans 2022)."""

    positive: Conditioning
    negative: Conditioning
    scale: float
    size_px: tuple[int, int]  # height, width


class Denoiser:
    """A UNet as a noise predictor.

    Args:
        unet: diffusers' UNet2DConditionModel.
        schedule: that it was trained with.
        is_v: it predicts v, not eps.
    """

    def __init__(self, unet: Any, schedule: NoiseSchedule, *, is_v: bool) -> None:
        self._unet, self._schedule, self._is_v = unet, schedule, is_v

    def guided_eps(self, x: Tensor, t: Tensor, guidance: Guidance) -> Tensor:
        """eps of (B, C, h, w): uncond + scale * (cond - uncond).

        One call of the UNet where both prompts are equally long, else two, as in the WebUI.
        """
        import torch

        positive, negative = guidance.positive, guidance.negative
        if guidance.scale == 1.0:
            return self._eps(x, t, [positive], guidance.size_px)
        if positive.context.shape == negative.context.shape:
            cond, uncond = self._eps(torch.cat([x, x]), t, [positive, negative], guidance.size_px).chunk(2)
        else:
            cond = self._eps(x, t, [positive], guidance.size_px)
            uncond = self._eps(x, t, [negative], guidance.size_px)
        return uncond + (cond - uncond) * guidance.scale

    def _eps(self, x: Tensor, t: Tensor, prompts: list[Conditioning], size_px: tuple[int, int]) -> Tensor:
        """The UNet, in its own dtype, on x (B * len(prompts), C, h, w): each prompt is repeated for its B latents."""
        import torch

        each = x.shape[0] // len(prompts)
        context = torch.cat([prompt.context.expand(each, -1, -1) for prompt in prompts]).to(self._unet.dtype)
        extra: dict[str, Any] = {}
        if prompts[0].pooled is not None:
            pooled = torch.cat([prompt.pooled.expand(each, -1) for prompt in prompts if prompt.pooled is not None])
            # SDXL's size conditioning: original size, crop corner, target size
            sizes = torch.tensor([[*size_px, 0, 0, *size_px]], dtype=pooled.dtype, device=x.device)
            sizes = sizes.expand(x.shape[0], -1)  # (B * len(prompts), 6)
            extra = {"added_cond_kwargs": {"text_embeds": pooled.to(self._unet.dtype), "time_ids": sizes}}
        with torch.no_grad():
            out = self._unet(
                x.to(self._unet.dtype), t.to(x.device), encoder_hidden_states=context, return_dict=False, **extra
            )[0].float()
        if not self._is_v:
            return out
        a_t = 1 / (
            1 + self._schedule.t_to_sigma(t.cpu().float()).to(x.device) ** 2
        )  # between two training steps as well
        return a_t.sqrt() * out + (1 - a_t).sqrt() * x  # v prediction to eps (Salimans & Ho 2022)
