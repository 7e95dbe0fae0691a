"""Stage 2: the text tower, taught by contrast with the pictures, as CLIP's was before Stable Diffusion took it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from .augment import premultiply
from .captions import CONTEXT
from .contrastive import draw_pairs, softmax_loss
from .emoji import Emoji
from .judge import Judge
from .loop import Stage, autocast, device, train

STAGE = Stage(name="text", steps=900, lr=1e-3, weight_decay=0.05)
TEXT_WIDTH = 96


def build_text_encoder(vocab_size: int) -> CLIPTextModel:
    """CLIP's text tower (QuickGELU, causal), 4 layers of 96."""
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=vocab_size,
            hidden_size=TEXT_WIDTH,
            intermediate_size=4 * TEXT_WIDTH,
            num_hidden_layers=4,
            num_attention_heads=4,
            max_position_embeddings=CONTEXT,
            projection_dim=TEXT_WIDTH,
            bos_token_id=vocab_size - 2,
            eos_token_id=vocab_size - 1,
            pad_token_id=vocab_size - 1,
            attn_implementation="eager",
        )
    )


class _Pair(nn.Module):
    def __init__(self, text: CLIPTextModel) -> None:
        super().__init__()
        self.text, self.image = text, Judge(TEXT_WIDTH)
        self.logit_scale = nn.Parameter(torch.tensor(2.66))

    def forward(self, images: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        # the tower is causal and pools at the first end token: what stands behind it can be left out
        length = int((tokens != tokens[:, -1:]).sum(dim=1).max()) + 1
        read = F.normalize(self.text(tokens[:, :length]).pooler_output.float(), dim=-1)
        seen = F.normalize(self.image(images).float(), dim=-1)
        return self.logit_scale.exp().clamp(max=100) * seen @ read.T


def train_text(emoji: list[Emoji], pictures: np.ndarray, tokenizer: CLIPTokenizer, folder: Path) -> CLIPTextModel:
    """Teach which caption belongs to which picture, with a small convolutional image tower that is then thrown away."""
    torch.manual_seed(4)
    pair = _Pair(build_text_encoder(len(tokenizer))).to(device())
    rgba = premultiply(pictures.reshape(-1, *pictures.shape[2:]))

    def loss_of(generator: torch.Generator) -> torch.Tensor:
        images, said, match = draw_pairs(emoji, rgba, generator)
        tokens = tokenizer(said, padding="max_length", truncation=True, return_tensors="pt").input_ids
        with autocast():
            logits = pair(images.to(device()), tokens.to(device()))
        return softmax_loss(logits.float(), match.to(device()))

    return train(STAGE, pair, loss_of, folder).text
