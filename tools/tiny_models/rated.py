"""Groups of four pictures that tiny-sd drew with random settings, each with the utility of the simulated rater."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL
from transformers import CLIPTokenizer

from .diffusion import Denoiser
from .emoji import STYLES, Emoji
from .evaluate import draw
from .judge import Judge
from .loop import device

PROMPTS = 320
CANDIDATES = 4
SETTINGS = ((6, 1.5), (10, 3.0), (12, 5.0), (16, 7.0))  # (DDIM steps, CFG scale)


def rated_pictures(
    model: Denoiser, vae: AutoencoderKL, tokenizer: CLIPTokenizer, judge: Judge, emoji: list[Emoji], folder: Path
) -> dict[str, Any]:
    """{"images" (P, 4, 3, H, W) in -1..1, "prompts" P, "utility" (P, 4)}; kept in `folder`.

    The rater prefers what the judge reads as the asked emoji: utility = log-probability / 4, at most 0, at least -2.5.
    """
    file = folder / "rated.pt"
    if file.exists():
        return torch.load(file, weights_only=True)
    generator = torch.Generator().manual_seed(77)
    rows = torch.randperm(len(emoji), generator=generator)[:PROMPTS]
    styles = torch.randint(len(STYLES), (PROMPTS,), generator=generator)
    prompts = [f"{emoji[e].name}, {STYLES[s]} style" for e, s in zip(rows.tolist(), styles.tolist(), strict=True)]
    columns = []
    for candidate, (steps, cfg) in enumerate(SETTINGS):
        seeds = [1000 * candidate + i for i in range(PROMPTS)]
        columns.append(draw(model, vae, tokenizer, prompts, seeds, steps=steps, cfg=cfg))
    images = torch.stack(columns, dim=1)  # (P, 4, 3, H, W)
    with torch.no_grad():
        chunks = [judge(c.to(device())).float().log_softmax(dim=1).cpu() for c in images.flatten(0, 1).split(64)]
    likely = torch.cat(chunks).unflatten(0, (-1, CANDIDATES))[torch.arange(PROMPTS), :, rows]
    # the setting must not give the answer away: shuffle each group
    order = torch.stack([torch.randperm(CANDIDATES, generator=generator) for _ in range(PROMPTS)])
    images = images[torch.arange(PROMPTS)[:, None], order]
    utility = (likely / 4).clamp(-2.5, 0).gather(1, order)
    rated = {"images": images.half(), "prompts": prompts, "utility": utility}
    torch.save(rated, file)
    return rated
