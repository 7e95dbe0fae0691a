"""A light head that a trained classifier may have on its CLIP: a linear reading of what every layer sees.

CLIP's own embedding was taught to name things; warmth, sharpness or a drawing style are plain in the layers below
it and mostly gone at its end. The head adds to exp(logit_scale) * cosine a linear function of, for each layer, the
mean, the spread and the class token, and of the embeddings' product with the prompt's. Shapes: N batch, D width,
E embedding.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import nn

from lib_hps.errors import InputError
from lib_hps.scoring.clip.model import VisionTransformer

if TYPE_CHECKING:
    from lib_hps.scoring.clip.model import Clip

PREFIX = "hps_head."
_MOST_LAYERS = 6


def layers_to_read(depth: int) -> tuple[int, ...]:
    """Up to six layers of a tower of `depth` blocks, evenly spaced; 0 is what enters the first block."""
    count = min(depth + 1, _MOST_LAYERS)
    return tuple(round(i * depth / max(1, count - 1)) for i in range(count))


def describe(clip: Clip, pixels: torch.Tensor, layers: tuple[int, ...]) -> torch.Tensor:
    """What the head reads of pictures.

    Args:
        clip: with a ViT image tower.
        pixels: (N, 3, S, S), normalised.
        layers: see `layers_to_read`.

    Returns:
        (N, F) float32: mean and spread of the patches' first projection; of each layer mean and spread over the
        patches and (above the first) the class token; last the unit embedding (E).

    Raises:
        InputError: another image tower.
    """
    visual = clip.visual
    if not isinstance(visual, VisionTransformer):
        raise InputError("A head needs a CLIP with a ViT image tower; this one has a ResNet.")
    patches = visual.conv1(pixels.to(clip.dtype)).flatten(2).transpose(1, 2)  # (N, L, D)
    found = [patches.float().mean(dim=1), patches.float().std(dim=1)]
    x = torch.cat([visual.class_embedding.expand(len(patches), 1, -1), patches], dim=1) + visual.positional_embedding
    x = visual.ln_pre(x)
    for number in range(len(visual.transformer.blocks) + 1):
        if number:
            x = visual.transformer.blocks[number - 1](x)
        if number in layers:
            found += [x[:, 1:].float().mean(dim=1), x[:, 1:].float().std(dim=1)]
            found += [x[:, 0].float()] if number else []
    embedding = (visual.ln_post(x[:, 0]) @ visual.proj).float()
    return torch.cat([*found, F.normalize(embedding, dim=-1)], dim=-1)


class TasteHead(nn.Module):
    """Adds the taste to the cosine.

    Args:
        layers: that are read.
        pictures: weights (F,) of `describe`.
        products: weights (E,) of picture * prompt.
        cosine: weight () of exp(logit_scale) * cosine.
    """

    def __init__(
        self, layers: tuple[int, ...], pictures: torch.Tensor, products: torch.Tensor, cosine: torch.Tensor
    ) -> None:
        super().__init__()
        self.layers = layers
        self.pictures, self.products = nn.Parameter(pictures.float()), nn.Parameter(products.float())
        self.cosine = nn.Parameter(cosine.float())

    @classmethod
    def from_tensors(cls, layers: tuple[int, ...], tensors: Mapping[str, torch.Tensor]) -> TasteHead:
        """From a file's tensors, whose names begin with `PREFIX`.

        Raises:
            InputError: one is missing.
        """
        try:
            return cls(layers, *(tensors[PREFIX + name] for name in ("pictures", "products", "cosine")))
        except KeyError as error:
            raise InputError(f"The classifier's head lacks {error.args[0]!r}. Train or export it again.") from error

    def to_tensors(self) -> dict[str, torch.Tensor]:
        """For a file."""
        return {PREFIX + name: tensor.detach() for name, tensor in self.state_dict().items()}

    def forward(self, described: torch.Tensor, texts: torch.Tensor, logit_scale: torch.Tensor) -> torch.Tensor:
        """(N, F) of `describe`, unit text features (N, E), exp(logit_scale) -> scores (N,), in nats."""
        products = described[:, -texts.shape[1] :] * texts  # (N, E)
        cosine = products.sum(dim=-1)
        return described @ self.pictures + products @ self.products + self.cosine * logit_scale * cosine
