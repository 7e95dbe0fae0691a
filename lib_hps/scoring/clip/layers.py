"""The pre-norm transformer that both CLIP towers share (Radford et al. 2021, section 2.4).

Parameter names are open_clip's, so that a published state dict loads unchanged. Shapes: N batch, L tokens, D width,
H heads, E = D / H.
"""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import nn


def quick_gelu(x: torch.Tensor) -> torch.Tensor:
    """x * sigmoid(1.702 x), OpenAI's approximation of GELU, as a scaled SiLU: one pass less and half the memory."""
    scaled = x * 1.702
    if torch.is_grad_enabled() and scaled.requires_grad:
        return F.silu(scaled) * (1 / 1.702)
    return F.silu(scaled, inplace=True).mul_(1 / 1.702)


class Attention(nn.Module):
    """Multi-head self-attention with nn.MultiheadAttention's parameters, one fused product for q, k and v."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.empty(3 * width))
        self.out_proj = nn.Linear(width, width)

    def forward(self, x: torch.Tensor, *, is_causal: bool = False) -> torch.Tensor:
        """(N, L, D) -> (N, L, D); with `is_causal` token i sees tokens 0..i."""
        n, length, width = x.shape
        qkv = F.linear(x, self.in_proj_weight, self.in_proj_bias)  # (N, L, 3D)
        qkv = qkv.view(n, length, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each (N, H, L, E)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=is_causal)
        return self.out_proj(y.transpose(1, 2).reshape(n, length, width))

    def first(self, x: torch.Tensor) -> torch.Tensor:
        """What `forward` returns for the first token alone, at a fraction of the work: (N, L, D) -> (N, 1, D)."""
        n, length, width = x.shape
        weight, bias = self.in_proj_weight, self.in_proj_bias
        q = F.linear(x[:, :1], weight[:width], bias[:width])  # (N, 1, D)
        q = q.view(n, 1, self.heads, width // self.heads).transpose(1, 2)  # (N, H, 1, E)
        kv = F.linear(x, weight[width:], bias[width:])  # (N, L, 2D)
        k, v = kv.view(n, length, 2, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v)  # (N, H, 1, E)
        return self.out_proj(y.transpose(1, 2).reshape(n, 1, width))


class Mlp(nn.Module):
    """Linear, GELU or QuickGELU, linear."""

    def __init__(self, width: int, hidden: int, *, use_quick_gelu: bool) -> None:
        super().__init__()
        self.c_fc = nn.Linear(width, hidden)
        self.c_proj = nn.Linear(hidden, width)
        self.activation = quick_gelu if use_quick_gelu else F.gelu

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, L, D) -> (N, L, D)."""
        return self.c_proj(self.activation(self.c_fc(x)))


class Block(nn.Module):
    """x + attention(norm x), then x + mlp(norm x)."""

    def __init__(self, width: int, heads: int, hidden: int, *, use_quick_gelu: bool) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(width)
        self.attn = Attention(width, heads)
        self.ln_2 = nn.LayerNorm(width)
        self.mlp = Mlp(width, hidden, use_quick_gelu=use_quick_gelu)

    def forward(self, x: torch.Tensor, *, is_causal: bool = False) -> torch.Tensor:
        """(N, L, D) -> (N, L, D)."""
        x = x + self.attn(self.ln_1(x), is_causal=is_causal)
        return x + self.mlp(self.ln_2(x))

    def first(self, x: torch.Tensor) -> torch.Tensor:
        """What `forward` returns for the first token alone: (N, L, D) -> (N, 1, D)."""
        x = x[:, :1] + self.attn.first(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class Transformer(nn.Module):
    """A stack of blocks under the name `resblocks`."""

    def __init__(self, width: int, layers: int, heads: int, hidden: int, *, use_quick_gelu: bool) -> None:
        super().__init__()
        self.resblocks = nn.ModuleList(
            Block(width, heads, hidden, use_quick_gelu=use_quick_gelu) for _ in range(layers)
        )

    @property
    def blocks(self) -> list[Block]:
        """The blocks, from the input to the output."""
        return cast("list[Block]", list(self.resblocks))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Causal, for the text tower: (N, L, D) -> (N, L, D)."""
        for block in self.blocks:
            x = block(x, is_causal=True)
        return x

    def first(self, x: torch.Tensor) -> torch.Tensor:
        """Not causal, for the image tower, whose only output is the class token: (N, L, D) -> (N, D)."""
        *others, last = self.blocks
        for block in others:
            x = block(x)
        return last.first(x)[:, 0]
