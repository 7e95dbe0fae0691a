"""Stage 3: the UNet on cached latents, the text tower frozen: SD1's noise schedule, eps prediction, caption dropout."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from transformers import CLIPTextModel, CLIPTokenizer

from .augment import compose, draw_backgrounds, premultiply
from .captions import caption
from .emoji import STYLES, Emoji
from .loop import Stage, autocast, batches_from, device, train
from .text import TEXT_WIDTH
from .vae import encode

STAGE = Stage(name="unet", steps=10000, lr=1e-3, warmup=200, ema_decay=0.999)
BATCH = 64
VARIANTS = 12
CAPTION_DROPOUT = 0.1
SNR_GAMMA = 5.0


def build_unet() -> UNet2DConditionModel:
    """SD1's UNet with 96 and 192 channels, one residual block a level, 8 heads."""
    unet = UNet2DConditionModel(
        sample_size=8,
        in_channels=4,
        out_channels=4,
        down_block_types=("CrossAttnDownBlock2D",) * 2,
        up_block_types=("CrossAttnUpBlock2D",) * 2,
        block_out_channels=(96, 192),
        layers_per_block=1,
        attention_head_dim=8,
        cross_attention_dim=TEXT_WIDTH,
    )
    unet.set_attn_processor(AttnProcessor())  # plain products: the fused kernel's backward is slow on the CPU at 8x8
    return unet


class Denoiser(torch.nn.Module):
    def __init__(self, unet: UNet2DConditionModel, text: CLIPTextModel) -> None:
        super().__init__()
        self.unet, self.text = unet, text

    def forward(self, noisy: torch.Tensor, steps: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        hidden = self.text(tokens).last_hidden_state  # (N, 77, 96)
        return self.unet(noisy, steps, hidden).sample


def alphas_cumprod() -> torch.Tensor:
    """SD1's "scaled linear" schedule, 1000 steps."""
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    return torch.cumprod(1 - betas, dim=0).float()


def train_diffusion(
    emoji: list[Emoji],
    pictures: np.ndarray,
    vae: AutoencoderKL,
    text: CLIPTextModel,
    tokenizer: CLIPTokenizer,
    folder: Path,
) -> Denoiser:
    torch.manual_seed(2)
    model = Denoiser(build_unet(), text.requires_grad_(False)).to(device())
    latents, backgrounds = _cached_latents(
        pictures, vae, folder
    )  # (variants, N * styles, 4, 8, 8), (variants, N * styles)
    weights = torch.tensor([e.weight for e in emoji]).repeat_interleave(len(STYLES))
    alphas = alphas_cumprod()
    known_tokens: dict[str, torch.Tensor] = {}

    def tokens_of(text: str) -> torch.Tensor:
        if text not in known_tokens:
            known_tokens[text] = tokenizer(text, padding="max_length", truncation=True, return_tensors="pt").input_ids[
                0
            ]
        return known_tokens[text]

    def loss_of(generator: torch.Generator) -> torch.Tensor:
        rows = batches_from(weights, BATCH, generator)
        variants = torch.randint(VARIANTS, (BATCH,), generator=generator)
        clean, shown = latents[variants, rows], backgrounds[variants, rows]
        dropped = torch.rand(BATCH, generator=generator) < CAPTION_DROPOUT
        texts = [
            "" if d else caption(emoji[r // len(STYLES)], r % len(STYLES), b, generator)
            for r, b, d in zip(rows.tolist(), shown.tolist(), dropped.tolist(), strict=True)
        ]
        tokens = torch.stack([tokens_of(t) for t in texts]).to(device())
        steps = torch.randint(1000, (BATCH,), generator=generator)
        noise = torch.randn(clean.shape, generator=generator)
        signal = alphas[steps].view(-1, 1, 1, 1)
        noisy = signal.sqrt() * clean + (1 - signal).sqrt() * noise
        with autocast():
            predicted = model(noisy.to(device()), steps.to(device()), tokens)
        error = F.mse_loss(predicted.float().cpu(), noise, reduction="none").mean(dim=(1, 2, 3))
        snr = (signal / (1 - signal)).flatten()
        return (error * (snr.clamp(max=SNR_GAMMA) / snr)).mean()  # min-SNR weighting, arXiv 2303.09556

    return train(STAGE, model, loss_of, folder)


@torch.no_grad()
def sample(
    model: Denoiser,
    tokens: torch.Tensor,
    blank: torch.Tensor,
    noise: torch.Tensor,
    *,
    steps: int = 20,
    cfg: float = 4.0,
) -> torch.Tensor:
    """Plain DDIM (eta 0) with classifier-free guidance, for looking and judging while training.

    Args:
        tokens: (N, 77); blank: (77,) the empty prompt; noise: (N, 4, h, w).
    """
    alphas = alphas_cumprod()
    latents = noise
    unconditional = blank.expand_as(tokens)
    times = (torch.arange(steps) * (1000 // steps) + 1).flip(0)
    for i, t in enumerate(times.tolist()):
        both = torch.cat([latents, latents]).to(device())
        guess = model(
            both, torch.full((len(both),), t, device=device()), torch.cat([unconditional, tokens]).to(device())
        )
        empty, asked = guess.float().cpu().chunk(2)
        eps = empty + cfg * (asked - empty)
        a, b = alphas[t], alphas[times[i + 1]] if i + 1 < steps else alphas[0]
        clean = (latents - (1 - a).sqrt() * eps) / a.sqrt()
        latents = b.sqrt() * clean + (1 - b).sqrt() * eps
    return latents


def _cached_latents(pictures: np.ndarray, vae: AutoencoderKL, folder: Path) -> tuple[torch.Tensor, torch.Tensor]:
    file = folder / "latents.pt"
    if not file.exists():
        rgba = premultiply(pictures.reshape(-1, *pictures.shape[2:]))
        latents, backgrounds = [], []
        for variant in range(VARIANTS):
            generator = torch.Generator().manual_seed(100 + variant)
            shown = draw_backgrounds(len(rgba), generator)
            latents.append(encode(vae, compose(rgba, shown, generator)).half())
            backgrounds.append(shown)
        torch.save({"latents": torch.stack(latents), "backgrounds": torch.stack(backgrounds)}, file)
    stored = torch.load(file, weights_only=True)
    return stored["latents"].float(), stored["backgrounds"]
