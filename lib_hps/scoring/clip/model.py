"""CLIP's two towers (Radford et al. 2021) for scoring and for training; state-dict names are open_clip's.

Shapes: N batch, S image side, G = S / patch grid side, D tower width, L tokens.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

from lib_hps.errors import InputError
from lib_hps.scoring.clip.config import ClipConfig, VisionConfig
from lib_hps.scoring.clip.layers import Transformer
from lib_hps.scoring.clip.resnet import ModifiedResNet


class VisionTransformer(nn.Module):
    """The image tower of the ViT models: normalised pixels (N, 3, S, S) -> features (N, embed_dim)."""

    def __init__(self, config: VisionConfig, embed_dim: int, *, quick_gelu: bool) -> None:
        super().__init__()
        if not isinstance(config.layers, int) or config.patch_size is None or config.mlp_width is None:
            raise InputError(f"A vision transformer needs layers, patch_size and mlp_width, got {config}.")
        width = config.width
        self.conv1 = nn.Conv2d(3, width, config.patch_size, stride=config.patch_size, bias=False)
        self.class_embedding = nn.Parameter(torch.empty(width))
        self.positional_embedding = nn.Parameter(torch.empty(config.grid**2 + 1, width))
        self.ln_pre = nn.LayerNorm(width)
        self.transformer = Transformer(width, config.layers, config.heads, config.mlp_width, use_quick_gelu=quick_gelu)
        self.ln_post = nn.LayerNorm(width)
        self.proj = nn.Parameter(torch.empty(width, embed_dim))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """(N, 3, S, S) -> (N, embed_dim)."""
        patches = self.conv1(pixels).flatten(2).transpose(1, 2)  # (N, G*G, D)
        first = self.class_embedding.expand(len(patches), 1, -1)  # (N, 1, D)
        x = torch.cat([first, patches], dim=1) + self.positional_embedding  # (N, 1 + G*G, D)
        x = self.transformer.first(self.ln_pre(x))  # (N, D)
        return self.ln_post(x) @ self.proj

    @torch.no_grad()
    def init_weights(self) -> None:
        """open_clip's initialisation: scaled normal embeddings, PyTorch's own nn.MultiheadAttention and nn.Linear."""
        std = self.class_embedding.shape[0] ** -0.5
        for parameter in (self.class_embedding, self.positional_embedding, self.proj):
            nn.init.normal_(parameter, std=std)
        for block in self.transformer.blocks:
            nn.init.xavier_uniform_(block.attn.in_proj_weight)
            nn.init.zeros_(block.attn.in_proj_bias)
            nn.init.zeros_(block.attn.out_proj.bias)


class Clip(nn.Module):
    """An image tower and a text tower that meet in one space; features come unnormalised, in the weights' dtype."""

    def __init__(self, config: ClipConfig) -> None:
        super().__init__()
        text = config.text
        self.config = config
        self.visual: VisionTransformer | ModifiedResNet
        if config.vision.kind == "resnet":
            self.visual = ModifiedResNet(config.vision, config.embed_dim)
        else:
            self.visual = VisionTransformer(config.vision, config.embed_dim, quick_gelu=config.quick_gelu)
        self.token_embedding = nn.Embedding(text.vocab_size, text.width)
        self.positional_embedding = nn.Parameter(torch.empty(text.context_length, text.width))
        self.transformer = Transformer(
            text.width, text.layers, text.heads, text.mlp_width, use_quick_gelu=config.quick_gelu
        )
        self.ln_final = nn.LayerNorm(text.width)
        self.text_projection = nn.Parameter(torch.empty(text.width, config.embed_dim))
        self.logit_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    @property
    def dtype(self) -> torch.dtype:
        """The dtype in which the towers compute."""
        return self.text_projection.dtype

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return self.text_projection.device

    def encode_image(self, pixels: torch.Tensor) -> torch.Tensor:
        """Features of pictures.

        Args:
            pixels: (N, 3, S, S) floats, already normalised with CLIP's mean and standard deviation, on this device.

        Returns:
            (N, embed_dim), not normalised.

        Raises:
            InputError: another shape.
        """
        side = self.config.vision.image_size
        if pixels.ndim != 4 or tuple(pixels.shape[1:]) != (3, side, side):
            raise InputError(f"This CLIP takes pixels of shape (N, 3, {side}, {side}), got {tuple(pixels.shape)}.")
        return self.visual(pixels.to(self.dtype))

    def encode_text(self, tokens: torch.Tensor) -> torch.Tensor:
        """Features of tokenised prompts, pooled where the token id is largest: at <end_of_text>.

        The tower is causal, so nothing behind the longest prompt's end can reach the result: that part is cut off
        before the blocks, which is exact and makes short prompts cheap.

        Args:
            tokens: (N, L) int64 with L at most the context length. On the CPU the cut costs no device sync.

        Returns:
            (N, embed_dim), not normalised.

        Raises:
            InputError: another shape, or more tokens than the context length.
        """
        limit = self.config.text.context_length
        if tokens.ndim != 2 or not 0 < tokens.shape[1] <= limit:
            raise InputError(f"This CLIP takes tokens of shape (N, at most {limit}), got {tuple(tokens.shape)}.")
        end = tokens.argmax(dim=-1)  # (N,)
        length = int(end.max()) + 1 if len(tokens) else 1
        tokens, end = tokens[:, :length].to(self.device), end.to(self.device)
        x = self.token_embedding(tokens) + self.positional_embedding[:length]  # (N, length, D)
        x = self.transformer(x)
        x = x[torch.arange(len(x), device=x.device), end]  # (N, D)
        return self.ln_final(x) @ self.text_projection

    def forward(self, pixels: torch.Tensor, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Normalised image features, normalised text features and exp(logit_scale), as training needs them."""
        images = F.normalize(self.encode_image(pixels), dim=-1)
        texts = F.normalize(self.encode_text(tokens), dim=-1)
        return images, texts, self.logit_scale.exp()

    @torch.no_grad()
    def init_weights(self) -> None:
        """open_clip's initialisation of both towers and logit_scale = ln(1 / 0.07)."""
        self.visual.init_weights()
        width, layers = self.config.text.width, self.config.text.layers
        nn.init.normal_(self.token_embedding.weight, std=0.02)
        nn.init.normal_(self.positional_embedding, std=0.01)
        nn.init.normal_(self.text_projection, std=width**-0.5)
        for block in self.transformer.blocks:
            nn.init.normal_(block.attn.in_proj_weight, std=width**-0.5)
            nn.init.zeros_(block.attn.in_proj_bias)
            nn.init.normal_(block.attn.out_proj.weight, std=width**-0.5 * (2 * layers) ** -0.5)
            nn.init.zeros_(block.attn.out_proj.bias)
            nn.init.normal_(block.mlp.c_fc.weight, std=(2 * width) ** -0.5)
            nn.init.normal_(block.mlp.c_proj.weight, std=width**-0.5 * (2 * layers) ** -0.5)
        nn.init.constant_(self.logit_scale, math.log(1 / 0.07))


def build(config: ClipConfig, *, seed: int | None = None) -> Clip:
    """A CLIP to be trained from scratch, initialised as open_clip does, in fp32 on the CPU and in training mode.

    Args:
        config: the shapes.
        seed: makes the weights reproducible and leaves the global generator as it was; None draws from the latter.
    """
    with torch.random.fork_rng(devices=[], enabled=seed is not None):
        if seed is not None:
            torch.default_generator.manual_seed(seed)
        model = Clip(config)
        model.init_weights()
    return model
