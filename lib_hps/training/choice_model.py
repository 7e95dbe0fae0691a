"""A CLIP of which the last blocks are trained on choices (HPS, arXiv 2303.14420; HPS v2 likewise).

The frozen part below is the same in every epoch: what it gives for a picture or a prompt can be computed once and kept
(`feature_cache`). Shapes: N batch, L tokens, D tower width.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, cast

import torch
import torch.nn.functional as F
from torch import nn

from lib_hps.errors import InputError
from lib_hps.scoring.clip.model import Clip, VisionTransformer

if TYPE_CHECKING:
    from lib_hps.scoring.clip.layers import Block


class ChoiceModel(nn.Module):
    """Frozen blocks below, trained ones above; `forward` sees the trained ones alone.

    Args:
        clip: with a ViT image tower; its parameters are frozen but for what is trained.
        image_blocks: the last n blocks of the image tower; all of them train the embedding as well, 0 none at all.
        text_blocks: the last n of the text tower, likewise.

    Raises:
        InputError: more blocks than there are, another image tower, or nothing to train.
    """

    def __init__(self, clip: Clip, *, image_blocks: int, text_blocks: int) -> None:
        super().__init__()
        if not isinstance(clip.visual, VisionTransformer):
            raise InputError("Only CLIPs with a ViT image tower can be trained; this one has a ResNet.")
        depths = {"image_blocks": len(clip.visual.transformer.blocks), "text_blocks": len(clip.transformer.blocks)}
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

    def _trained_parts(self) -> Iterator[nn.Module | nn.Parameter]:
        visual, clip = self._visual, self.clip
        if self._trains_image:
            yield from visual.transformer.blocks[self._image_cut :]
            yield from (visual.ln_post, visual.proj)
            if not self._image_cut:
                yield from (visual.conv1, visual.class_embedding, visual.positional_embedding, visual.ln_pre)
        if self._trains_text:
            yield from clip.transformer.blocks[self._text_cut :]
            yield from (clip.ln_final, clip.text_projection)
            if not self._text_cut:
                yield from (clip.token_embedding, clip.positional_embedding)
        yield clip.logit_scale

    @property
    def _visual(self) -> VisionTransformer:
        return cast(VisionTransformer, self.clip.visual)

    def image_below(self, pixels: torch.Tensor) -> torch.Tensor:
        """The frozen part: normalised pixels (N, 3, S, S) -> (N, L, D); where nothing is frozen, the pixels."""
        if self._trains_image and not self._image_cut:
            return pixels
        with torch.no_grad():
            return self._image_blocks(self._embedded_image(pixels), 0, self._image_cut)

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
        visual, clip = self._visual, self.clip
        whole = self._embedded_image(images) if images.ndim == 4 else images
        above = visual.transformer.blocks[self._image_cut :]
        pooled = self._pooled_image(whole, above)
        seen = F.normalize((visual.ln_post(pooled) @ visual.proj).float(), dim=-1)  # (N, E)
        whole = self._embedded_text(texts) if texts.ndim == 2 else texts
        hidden = self._text_blocks(whole, self._text_cut, len(clip.transformer.blocks))
        pooled = hidden[torch.arange(len(hidden), device=hidden.device), ends]
        read = F.normalize((clip.ln_final(pooled) @ clip.text_projection).float(), dim=-1)  # (P, E)
        return clip.logit_scale.exp() * (seen * read[prompt_of]).sum(dim=-1)

    def _embedded_image(self, pixels: torch.Tensor) -> torch.Tensor:
        visual = self._visual
        patches = visual.conv1(pixels.to(visual.conv1.weight.dtype)).flatten(2).transpose(1, 2)
        first = visual.class_embedding.expand(len(patches), 1, -1)
        return visual.ln_pre(torch.cat([first, patches], dim=1) + visual.positional_embedding)

    def _embedded_text(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.clip.token_embedding(tokens) + self.clip.positional_embedding[: tokens.shape[1]]

    def _image_blocks(self, x: torch.Tensor, first: int, last: int) -> torch.Tensor:
        for block in self._visual.transformer.blocks[first:last]:
            x = block(x)
        return x

    def _text_blocks(self, x: torch.Tensor, first: int, last: int) -> torch.Tensor:
        for block in self.clip.transformer.blocks[first:last]:
            x = block(x, is_causal=True)
        return x

    @staticmethod
    def _pooled_image(x: torch.Tensor, above: list[Block]) -> torch.Tensor:
        """The class token behind the trained blocks, the last of which need not compute the others: -> (N, D)."""
        if not above:
            return x[:, 0]
        for block in above[:-1]:
            x = block(x)
        return above[-1].first(x)[:, 0]
