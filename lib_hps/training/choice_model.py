"""A CLIP of which the last blocks, or LoRAs on their attention, are trained on choices (HPS, arXiv 2303.14420).

The frozen part below is the same in every epoch: what it gives for a picture or a prompt can be computed once and kept
(`feature_cache`). Shapes: N batch, L tokens, D tower width.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import nn

from lib_hps.errors import InputError
from lib_hps.scoring.clip.model import Clip
from lib_hps.training.choice_lora import adapt
from lib_hps.training.image_stack import attention_of, image_stack


class ChoiceModel(nn.Module):
    """Frozen blocks below, trained ones above; `forward` sees the trained ones alone. logit_scale is always trained.

    Args:
        clip: its parameters are frozen but for what is trained; batch norms keep their statistics.
        image_blocks: the last n blocks of the image tower; all of them train the embedding as well, 0 none at all.
        text_blocks: the last n of the text tower, likewise.
        rank: of LoRAs on these blocks' attention (of a ResNet: its attention pool), which are trained in the blocks'
            place; 0 trains the blocks themselves.
        seed: of the LoRAs' beginning.

    Raises:
        InputError: more blocks than there are, or nothing to train.
    """

    def __init__(self, clip: Clip, *, image_blocks: int, text_blocks: int, rank: int = 0, seed: int = 0) -> None:
        super().__init__()
        self._image = image_stack(clip.visual)
        depths = {"image_blocks": len(self._image.blocks), "text_blocks": len(clip.transformer.blocks)}
        for name, asked in (("image_blocks", image_blocks), ("text_blocks", text_blocks)):
            if not 0 <= asked <= depths[name]:
                raise InputError(f"{name} is {asked}; this model has 0 to {depths[name]}.")
        if not image_blocks and not text_blocks:
            raise InputError("image_blocks and text_blocks are both 0, so there is nothing to train.")
        self.clip = clip
        self._image_cut = depths["image_blocks"] - image_blocks
        self._text_cut = depths["text_blocks"] - text_blocks
        self._trains_image, self._trains_text = bool(image_blocks), bool(text_blocks)
        clip.requires_grad_(False)
        clip.logit_scale.requires_grad_(True)
        if rank:
            adapt(self._attention(), rank=rank, seed=seed)
        else:
            for part in self._trained_parts():
                part.requires_grad_(True)

    @property
    def image_cut(self) -> int:
        """Frozen blocks of the image tower."""
        return self._image_cut

    @property
    def text_cut(self) -> int:
        """Frozen blocks of the text tower."""
        return self._text_cut

    def train(self, mode: bool = True) -> ChoiceModel:
        """Batch norms stay as they score."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self

    def _trained_parts(self) -> Iterator[nn.Module | nn.Parameter]:
        clip = self.clip
        if self._trains_image:
            yield from self._image.blocks[self._image_cut :]
            yield from self._image.end
            if not self._image_cut:
                yield from self._image.entry
        if self._trains_text:
            yield from clip.transformer.blocks[self._text_cut :]
            yield from (clip.ln_final, clip.text_projection)
            if not self._text_cut:
                yield from (clip.token_embedding, clip.positional_embedding)

    def _attention(self) -> Iterator[tuple[nn.Module, str]]:
        if self._trains_image:
            yield from self._image.attention(self._image_cut)
        for block in self.clip.transformer.blocks[self._text_cut :]:
            yield from attention_of(block)

    def image_below(self, pixels: torch.Tensor) -> torch.Tensor:
        """The frozen part: normalised pixels (N, 3, S, S) -> what the first trained block takes, such as (N, L, D).

        Where nothing is frozen, the pixels.
        """
        if self._takes_pixels:
            return pixels
        with torch.no_grad():
            x = self._image.enter(pixels)
            for block in self._image.blocks[: self._image_cut]:
                x = block(x)
        return x

    def text_below(self, tokens: torch.Tensor) -> torch.Tensor:
        """The frozen part: (N, L) tokens -> (N, L, D); where nothing is frozen, the tokens."""
        if self._trains_text and not self._text_cut:
            return tokens
        with torch.no_grad():
            return self._text_blocks(self._embedded_text(tokens), 0, self._text_cut)

    def forward(
        self, images: torch.Tensor, texts: torch.Tensor, ends: torch.Tensor, prompt_of: torch.Tensor
    ) -> torch.Tensor:
        """exp(logit_scale) * cosine of every picture and its prompt.

        Args:
            images: (N, ...) of `image_below`.
            texts: (P, ...) of `text_below`, padded behind their ends.
            ends: (P,) position of each prompt's <end_of_text>.
            prompt_of: (N,) the prompt of each picture.

        Returns:
            (N,) float32.
        """
        clip = self.clip
        whole = self._image.enter(images) if self._takes_pixels else images
        seen = F.normalize(self._image.leave(whole, self._image_cut).float(), dim=-1)  # (N, E)
        whole = self._embedded_text(texts) if texts.ndim == 2 else texts
        hidden = self._text_blocks(whole, self._text_cut, len(clip.transformer.blocks))
        pooled = hidden[torch.arange(len(hidden), device=hidden.device), ends]
        read = F.normalize((clip.ln_final(pooled) @ clip.text_projection).float(), dim=-1)  # (P, E)
        return clip.logit_scale.exp() * (seen * read[prompt_of]).sum(dim=-1)

    @property
    def _takes_pixels(self) -> bool:
        return self._trains_image and not self._image_cut

    def _embedded_text(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.clip.token_embedding(tokens) + self.clip.positional_embedding[: tokens.shape[1]]

    def _text_blocks(self, x: torch.Tensor, first: int, last: int) -> torch.Tensor:
        for block in self.clip.transformer.blocks[first:last]:
            x = block(x, is_causal=True)
        return x
