"""How good tiny-sd is: the judge's naming among 20, beside its figure on real pictures, and a contact sheet."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from PIL import Image, ImageDraw
from transformers import CLIPTokenizer

from .augment import compose, premultiply
from .diffusion import Denoiser, sample
from .emoji import STYLES, Emoji
from .judge import CONCEPTS, Judge, named_among
from .vae import decode

SEEDS = 4
CFG = 4.0
STEPS = 20


def tokenise(tokenizer: CLIPTokenizer, texts: list[str]) -> torch.Tensor:
    return tokenizer(texts, padding="max_length", truncation=True, return_tensors="pt").input_ids


def draw(
    model: Denoiser,
    vae: AutoencoderKL,
    tokenizer: CLIPTokenizer,
    prompts: list[str],
    seeds: list[int],
    **options: float,
) -> torch.Tensor:
    """Pictures (N, 3, 64, 64) in -1..1; the noise of a seed is that of the WebUI's CPU source."""
    noise = torch.stack([torch.randn(4, 8, 8, generator=torch.Generator().manual_seed(s)) for s in seeds])
    blank = tokenise(tokenizer, [""])[0]
    latents = []
    for i in range(0, len(prompts), 50):
        tokens = tokenise(tokenizer, prompts[i : i + 50])
        latents.append(sample(model, tokens, blank, noise[i : i + 50], **{"steps": STEPS, "cfg": CFG, **options}))
    return decode(vae, torch.cat(latents))


def judge_generated(
    model: Denoiser, vae: AutoencoderKL, tokenizer: CLIPTokenizer, judge: Judge, emoji: list[Emoji]
) -> tuple[dict[str, float], torch.Tensor]:
    """Share of right namings per style over 50 concepts x 4 seeds, and the pictures (styles, concepts * seeds, ...)."""
    shares, sheets = {}, []
    for style in STYLES:
        prompts = [f"{c}, {style} style" for c in CONCEPTS for _ in range(SEEDS)]
        images = draw(model, vae, tokenizer, prompts, list(range(SEEDS)) * len(CONCEPTS))
        right = named_among(judge, images, [c for c in CONCEPTS for _ in range(SEEDS)], emoji)
        shares[style] = float(right.mean())
        sheets.append(images)
    return shares, torch.stack(sheets)


def judge_real(judge: Judge, emoji: list[Emoji], pictures: np.ndarray, style: int) -> float:
    """The same question about the artist's own pictures, four fresh moves of each."""
    rows = {e.name: i for i, e in enumerate(emoji)}
    chosen = torch.tensor([rows[c] for c in CONCEPTS for _ in range(SEEDS)])
    generator = torch.Generator().manual_seed(4242)
    images = compose(premultiply(pictures[chosen.numpy(), style]), torch.zeros_like(chosen), generator)
    return float(named_among(judge, images, [c for c in CONCEPTS for _ in range(SEEDS)], emoji).mean())


def contact_sheet(sheets: torch.Tensor, file: Path) -> None:
    """One row a concept: its name, then four seeds in each style."""
    label, cell = 190, 66
    styles, _, _, size, _ = sheets.shape
    canvas = Image.new("RGB", (label + styles * SEEDS * cell + 12, 24 + len(CONCEPTS) * cell), "white")
    pen = ImageDraw.Draw(canvas)
    for s, style in enumerate(STYLES):
        pen.text((label + s * (SEEDS * cell + 6), 6), f"{style} style", fill="black")
    pixels = ((sheets + 1) * 127.5).round().clamp(0, 255).byte().permute(0, 1, 3, 4, 2).numpy()
    for row, concept in enumerate(CONCEPTS):
        pen.text((6, 24 + row * cell + size // 2 - 6), concept, fill="black")
        for s in range(styles):
            for seed in range(SEEDS):
                x = label + s * (SEEDS * cell + 6) + seed * cell
                canvas.paste(Image.fromarray(pixels[s, row * SEEDS + seed]), (x, 24 + row * cell))
    file.parent.mkdir(parents=True, exist_ok=True)
    canvas.save(file, optimize=True)
