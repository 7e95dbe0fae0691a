"""An image tower as a stack of blocks that can be cut: what lies below a cut is frozen, what lies above is trained.

Shapes: N batch, S image side, L tokens, D tower width, C channels, G side of a feature map, E embedding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import nn

from lib_hps.scoring.clip.model import VisionTransformer

if TYPE_CHECKING:
    from lib_hps.scoring.clip.layers import Block
    from lib_hps.scoring.clip.resnet import ModifiedResNet

Trained = Sequence[nn.Module | nn.Parameter]


class VitStack:
    """A vision transformer: (N, 3, S, S) -> (N, L, D), blocks, -> (N, E) of the class token.

    Attributes:
        entry, blocks, end: what a user can train, from the input to the output.
    """

    def __init__(self, visual: VisionTransformer) -> None:
        self._visual = visual
        self.entry: Trained = (visual.conv1, visual.class_embedding, visual.positional_embedding, visual.ln_pre)
        self.blocks = visual.transformer.blocks
        self.end: Trained = (visual.ln_post, visual.proj)

    def enter(self, pixels: torch.Tensor) -> torch.Tensor:
        """(N, 3, S, S) -> (N, L, D), what the first block takes."""
        visual = self._visual
        patches = visual.conv1(pixels.to(visual.conv1.weight.dtype)).flatten(2).transpose(1, 2)
        first = visual.class_embedding.expand(len(patches), 1, -1)
        return visual.ln_pre(torch.cat([first, patches], dim=1) + visual.positional_embedding)

    def leave(self, x: torch.Tensor, cut: int) -> torch.Tensor:
        """Blocks from `cut` on and what follows them, of which the last need not compute all tokens: -> (N, E)."""
        above = self.blocks[cut:]
        for block in above[:-1]:
            x = block(x)
        pooled = (above[-1].first(x) if above else x)[:, 0]
        return self._visual.ln_post(pooled) @ self._visual.proj

    def attention(self, cut: int) -> list[tuple[nn.Module, str]]:
        """(module, name) of the attention's weights from `cut` on."""
        return [each for block in self.blocks[cut:] for each in attention_of(block)]


class ResNetStack:
    """CLIP's ResNet: (N, 3, S, S) -> (N, C, G, G), residual blocks of all stages, attention pool -> (N, E)."""

    def __init__(self, visual: ModifiedResNet) -> None:
        self._visual = visual
        self.entry: Trained = (visual.conv1, visual.bn1, visual.conv2, visual.bn2, visual.conv3, visual.bn3)
        self.blocks: list[nn.Module] = [block for stage in visual.stages for block in stage]
        self.end: Trained = (visual.attnpool,)

    def enter(self, pixels: torch.Tensor) -> torch.Tensor:
        """(N, 3, S, S) -> (N, C, S/4, S/4), what the first block takes."""
        return self._visual.stem(pixels.to(self._visual.conv1.weight.dtype))

    def leave(self, x: torch.Tensor, cut: int) -> torch.Tensor:
        """Blocks from `cut` on and the attention pool: -> (N, E)."""
        for block in self.blocks[cut:]:
            x = block(x)
        return self._visual.attnpool(x)

    def attention(self, cut: int) -> list[tuple[nn.Module, str]]:
        """(module, name) of the attention pool's weights, wherever the cut is."""
        pool = self._visual.attnpool
        return [(layer, "weight") for layer in (pool.q_proj, pool.k_proj, pool.v_proj, pool.c_proj)]


def image_stack(visual: VisionTransformer | ModifiedResNet) -> VitStack | ResNetStack:
    """The stack of a tower."""
    return VitStack(visual) if isinstance(visual, VisionTransformer) else ResNetStack(visual)


def attention_of(block: Block) -> list[tuple[nn.Module, str]]:
    """(module, name) of a transformer block's attention weights: the fused product of q, k and v, and the output."""
    return [(block.attn, "in_proj_weight"), (block.attn.out_proj, "weight")]
