"""Stage 1: the autoencoder (AutoencoderKL f8, 4 channels), whitened to the latent statistics that SD1 assumes."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL

from .augment import compose, draw_backgrounds, premultiply
from .loop import Stage, autocast, device, train

SCALE_FACTOR = 0.18215
CHANNELS = (32, 32, 64, 96)
STAGE = Stage(name="vae", steps=2500, lr=1e-3, ema_decay=0.995)
DECODER_STAGE = Stage(name="decoder", steps=1800, lr=6e-4, ema_decay=0.995)
BATCH = 32
POSTERIOR_STD = 0.05  # of the whitened latents, the same everywhere: a learned spread collapses at this size
SPREAD_PENALTY = 1e-3
SPIKE_PENALTY = 0.02
USUAL_PEAK = 4.0  # largest over mean size, of feature maps without a droplet


def build() -> AutoencoderKL:
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=CHANNELS,
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=32,
        sample_size=64,
        scaling_factor=SCALE_FACTOR,
    )


def train_vae(pictures: np.ndarray, folder: Path) -> AutoencoderKL:
    """Train on (N, styles, H, W, 4) uint8 pictures; L1 on pixels and on their differences, a fixed spread."""
    torch.manual_seed(1)
    vae = build().to(device())
    rgba = premultiply(pictures.reshape(-1, *pictures.shape[2:]))
    forward = _Reconstruct(vae)

    def loss_of(generator: torch.Generator) -> torch.Tensor:
        rows = torch.randint(len(rgba), (BATCH,), generator=generator)
        images = compose(rgba[rows], draw_backgrounds(BATCH, generator), generator, scale=(0.7, 1.1))
        images = images.to(device())
        noise = torch.randn(BATCH, 4, 8, 8, generator=generator).to(device())
        with autocast():
            restored, mean = forward(images, noise)
        restored, mean = restored.float(), mean.float()
        return _pixel_loss(restored, images) + SPREAD_PENALTY * F.relu(mean.square().mean() - 1)

    train(STAGE, vae, loss_of, folder)
    _whiten(vae, rgba)
    return vae


def sharpen_decoder(vae: AutoencoderKL, pictures: np.ndarray, folder: Path) -> AutoencoderKL:
    """Train the decoder further on the finished latents; the encoder stays, so the UNet need not know."""
    vae.requires_grad_(False)
    vae.decoder.requires_grad_(True)
    spikes = _Spikes(vae.decoder)
    rgba = premultiply(pictures.reshape(-1, *pictures.shape[2:]))

    def loss_of(generator: torch.Generator) -> torch.Tensor:
        rows = torch.randint(len(rgba), (BATCH,), generator=generator)
        images = compose(rgba[rows], draw_backgrounds(BATCH, generator), generator)
        # a little noise: what the UNet makes is never quite what the encoder would
        latents = encode(vae, images)
        latents = latents + 2 * POSTERIOR_STD * torch.randn(latents.shape, generator=generator)
        with autocast():
            restored = vae.decode(latents.to(device()) / SCALE_FACTOR).sample
        return _pixel_loss(restored.float(), images.to(device())) + SPIKE_PENALTY * spikes.pop()

    train(DECODER_STAGE, vae, loss_of, folder)
    spikes.remove()
    return vae


@torch.no_grad()
def encode(vae: AutoencoderKL, images: torch.Tensor) -> torch.Tensor:
    """Images (N, 3, H, W) in -1..1 -> scaled mean latents (N, 4, H/8, W/8), about unit variance."""
    with autocast():
        chunks = [vae.encode(c.to(device())).latent_dist.mean.float().cpu() for c in images.split(64)]
    return torch.cat(chunks) * SCALE_FACTOR


@torch.no_grad()
def decode(vae: AutoencoderKL, latents: torch.Tensor) -> torch.Tensor:
    """The inverse of `encode`: images in -1..1."""
    chunks = [vae.decode(c.to(device()) / SCALE_FACTOR).sample.cpu() for c in latents.split(64)]
    return torch.cat(chunks).clamp(-1, 1)


class _Spikes:
    """How far single places stick out of the decoder's last feature maps.

    SD's 32 groups of 32 channels norm each channel by itself; the decoder then learns to fool the norm with one huge
    place, a droplet in every picture (StyleGAN2, arXiv 1912.04958, section 2).
    """

    def __init__(self, decoder: torch.nn.Module) -> None:
        self._found: list[torch.Tensor] = []
        blocks = [block for up in decoder.up_blocks[-2:] for block in up.resnets]
        self._hooks = [block.conv2.register_forward_hook(self._see) for block in blocks]

    def _see(self, _module: object, _inputs: object, features: torch.Tensor) -> None:
        size = features.float().abs().mean(dim=1).flatten(1)  # (N, h * w)
        self._found.append(F.relu(size.amax(dim=1) / size.mean(dim=1) - USUAL_PEAK).mean())

    def pop(self) -> torch.Tensor:
        """The mean excess since the last call."""
        found, self._found = self._found, []
        return torch.stack(found).mean()

    def remove(self) -> None:
        for hook in self._hooks:
            hook.remove()


class _Reconstruct(torch.nn.Module):
    def __init__(self, vae: AutoencoderKL) -> None:
        super().__init__()
        self.vae = vae

    def forward(self, images: torch.Tensor, noise: torch.Tensor) -> tuple[torch.Tensor, ...]:
        moments = self.vae.quant_conv(self.vae.encoder(images))
        mean, _ = moments.chunk(2, dim=1)
        latents = mean + POSTERIOR_STD * mean.detach().std() * noise
        return self.vae.decoder(self.vae.post_quant_conv(latents)), mean


def _pixel_loss(restored: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
    # squared error on coarse colours first of all: absolute error alone settles on one hue for everything
    error = F.avg_pool2d(restored - images, 4)  # (N, 3, h, w)
    luma = error.mean(dim=1, keepdim=True)
    loss = F.l1_loss(restored, images) + 4 * luma.square().mean() + 16 * (error - luma).square().mean()
    for stride in (1, 2):
        for dim in (2, 3):
            length = images.shape[dim] - stride
            edge_r = restored.narrow(dim, stride, length) - restored.narrow(dim, 0, length)
            edge_i = images.narrow(dim, stride, length) - images.narrow(dim, 0, length)
            loss = loss + 0.5 * F.l1_loss(edge_r, edge_i)
    return loss


@torch.no_grad()
def _whiten(vae: AutoencoderKL, rgba: torch.Tensor) -> None:
    """Fold mean and covariance of the latents into the 1x1 convolutions: white latents, times 1 / SCALE_FACTOR."""
    generator = torch.Generator().manual_seed(5)
    images = compose(rgba, draw_backgrounds(len(rgba), generator), generator)
    latents = encode(vae, images) / SCALE_FACTOR  # (N, 4, h, w)
    flat = latents.permute(1, 0, 2, 3).flatten(1).double()
    mean = flat.mean(dim=1)
    values, vectors = torch.linalg.eigh(torch.cov(flat))
    # symmetric (ZCA) whitening: channels keep their meaning
    white = vectors @ torch.diag(values.rsqrt()) @ vectors.T / SCALE_FACTOR
    colour = torch.linalg.inv(white)
    white, colour, mean = (t.float().to(device()) for t in (white, colour, mean))
    quant, post = vae.quant_conv, vae.post_quant_conv
    quant.weight[:4] = torch.einsum("ab,bcij->acij", white, quant.weight[:4])
    quant.bias[:4] = white @ (quant.bias[:4] - mean)
    quant.weight[4:].zero_()
    quant.bias[4:] = 2 * math.log(POSTERIOR_STD / SCALE_FACTOR)
    post.bias += torch.einsum("ab,b->a", post.weight[:, :, 0, 0], mean)
    post.weight.copy_(torch.einsum("abij,bc->acij", post.weight, colour))
