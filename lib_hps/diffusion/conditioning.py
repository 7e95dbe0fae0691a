"""Prompts to what the UNet is conditioned on, equal to the WebUI's for SD1 and SDXL."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lib_hps.diffusion.tokens import Chunk

if TYPE_CHECKING:
    from torch import Tensor

    from lib_hps.diffusion.loading import TextTower


@dataclass(frozen=True)
class Conditioning:
    """One encoded prompt.

    Attributes:
        context: (1, 77 * chunks, D), for cross attention.
        pooled: (1, P) for SDXL, None for SD1.
    """

    context: Tensor
    pooled: Tensor | None = None


def encode(towers: list[TextTower], prompt: str, *, is_negative: bool = False) -> Conditioning:
    """Encode a prompt with one tower (SD1: last layer) or two (SDXL: penultimate layers, side by side).

    An empty negative prompt of SDXL is all zeros, as in the WebUI and in the model's training.
    """
    import torch

    parts = [_encode_tower(tower, prompt, is_penultimate=len(towers) > 1) for tower in towers]
    if len(parts) == 1:
        return Conditioning(parts[0][0])
    longest = max(context.shape[1] for context, _ in parts)
    context = torch.cat([_padded(context, longest) for context, _ in parts], dim=-1)  # (1, T, D1 + D2)
    pooled = parts[-1][1]
    if is_negative and not prompt:
        return Conditioning(torch.zeros_like(context), None if pooled is None else torch.zeros_like(pooled))
    return Conditioning(context, pooled)


def _padded(context: Tensor, length: int) -> Tensor:
    import torch

    return torch.nn.functional.pad(context, (0, 0, 0, length - context.shape[1]))


def _encode_tower(tower: TextTower, prompt: str, *, is_penultimate: bool) -> tuple[Tensor, Tensor | None]:
    """(1, 77 * chunks, D) and the first chunk's pooled (1, P) where the tower has a projection."""
    import torch

    encoded = [_encode_chunk(tower, chunk, is_penultimate=is_penultimate) for chunk in tower.tokenizer.chunks(prompt)]
    return torch.cat([context for context, _ in encoded], dim=1), encoded[0][1]


def _encode_chunk(tower: TextTower, chunk: Chunk, *, is_penultimate: bool) -> tuple[Tensor, Tensor | None]:
    import torch

    ids, weights = tower.tokenizer.framed(chunk)
    parameter = next(tower.model.parameters())
    with torch.no_grad():
        out = tower.model(input_ids=torch.tensor([ids], device=parameter.device), output_hidden_states=is_penultimate)
    z = out.hidden_states[-2] if is_penultimate else out.last_hidden_state  # (1, 77, D)
    if any(weight != 1.0 for weight in weights):
        mean = z.mean()  # A1111's emphasis keeps the mean
        z = z * torch.tensor(weights, device=z.device, dtype=z.dtype)[None, :, None]
        z = z * (mean / z.mean())
    return z, getattr(out, "text_embeds", None)
