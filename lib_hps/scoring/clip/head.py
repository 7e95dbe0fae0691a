"""A light head that a trained classifier may have on its CLIP: what else of a picture its rater looks at.

CLIP's own embedding was taught to name things; warmth, sharpness or a drawing style are plain in the pixels and in
the layers below it, and mostly gone at its end. The head adds to exp(logit_scale) * cosine, of groups of features
(`describe`): linear terms, products with the prompt's embedding, waves, which are cosines of random mixtures (Rahimi
and Recht 2007) and stand for whatever is not linear, and how much better the prompt fits than others (`naming`).
Shapes: N batch, F of a group, E embedding, R rank.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from lib_hps.errors import InputError
from lib_hps.scoring.clip.model import VisionTransformer
from lib_hps.scoring.clip.pixel_features import describe_pixels
from lib_hps.scoring.preprocess import normalise

if TYPE_CHECKING:
    from lib_hps.scoring.clip.model import Clip
    from lib_hps.scoring.clip.resnet import ModifiedResNet
    from lib_hps.scoring.images import Preprocess

PREFIX = "hps_head."
FEATURES = 4
"""Version of what `describe` gives: changes with it, so that kept features are computed again."""
OLDEST = 2
"""A head trained on this version's groups finds them unchanged today (3 added "shape", 4 "tones" and "shades")."""
_MOST_LAYERS = 6


def layers_to_read(depth: int) -> tuple[int, ...]:
    """Up to six layers of a tower of `depth` blocks, evenly spaced; 0 is what enters the first block."""
    count = min(depth + 1, _MOST_LAYERS)
    return tuple(round(i * depth / max(1, count - 1)) for i in range(count))


def describe(clip: Clip, levels: Tensor, preprocess: Preprocess) -> dict[str, Tensor]:
    """The groups of features that a head may read.

    Args:
        clip: with either image tower.
        levels: (N, 3, S, S) square pictures, uint8 or float32 in 0..1.
        preprocess: the mean and deviation that the tower wants.

    Returns:
        (N, F) float32 each: those of `describe_pixels`; "patches" (of a ViT): mean and spread of the first projection;
        "layer 0", ...: of each of `layers_to_read`, or of a ResNet's stem and stages, mean and spread over the places
        and (of a ViT above the first) the class token; and "embedding", of length 1.
    """
    found = describe_pixels(levels.float() / 255 if levels.dtype == torch.uint8 else levels.float())
    pixels = normalise(levels, preprocess, dtype=clip.dtype)
    visual = clip.visual
    layers, embedding = _read_vit(visual, pixels) if isinstance(visual, VisionTransformer) else _read(visual, pixels)
    return {**found, **layers, "embedding": F.normalize(embedding.float(), dim=-1)}


def _read_vit(visual: VisionTransformer, pixels: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    """The layers' features by name, and the tower's output."""
    patches = visual.conv1(pixels).flatten(2).transpose(1, 2)  # (N, L, D)
    found = {"patches": torch.cat(_mean_and_spread(patches), dim=1)}
    x = torch.cat([visual.class_embedding.expand(len(patches), 1, -1), patches], dim=1) + visual.positional_embedding
    x = visual.ln_pre(x)
    depth = len(visual.transformer.blocks)
    for number in range(depth + 1):
        if number:
            x = visual.transformer.blocks[number - 1](x)
        if number in layers_to_read(depth):
            parts = [*_mean_and_spread(x[:, 1:]), *([x[:, 0].float()] if number else [])]
            found[f"layer {number}"] = torch.cat(parts, dim=1)
    return found, visual.ln_post(x[:, 0]) @ visual.proj


def _read(visual: ModifiedResNet, pixels: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    """As `_read_vit`, of the stem and the stages."""
    x = visual.stem(pixels)
    found = {"layer 0": torch.cat(_mean_and_spread(x.flatten(2).transpose(1, 2)), dim=1)}
    for number, stage in enumerate(visual.stages, start=1):
        x = stage(x)
        found[f"layer {number}"] = torch.cat(_mean_and_spread(x.flatten(2).transpose(1, 2)), dim=1)
    return found, visual.attnpool(x)


def _mean_and_spread(tokens: Tensor) -> list[Tensor]:
    return [tokens.float().mean(dim=1), tokens.float().std(dim=1)]


@dataclass(frozen=True)
class HeadWeights:
    """What a head is made of.

    Attributes:
        cosine: weight () of exp(logit_scale) * cosine.
        linear: weights (F,) by group.
        prompted: by name: groups whose features x stand one behind the other, then (sum of F, R), (R,), (E, R), (R,):
            the sum of (x @ a + b) * (prompt @ c + d).
        waves: by name: groups, then (sum of F, R), (R,), (R,): cos(x @ a + b) @ weights.
        naming: weight () of `naming`, and the bank of prompts (M, E) that it asks about.
    """

    cosine: Tensor
    linear: Mapping[str, Tensor] = field(default_factory=dict)
    prompted: Mapping[str, tuple[Sequence[str], Sequence[Tensor]]] = field(default_factory=dict)
    waves: Mapping[str, tuple[Sequence[str], Sequence[Tensor]]] = field(default_factory=dict)
    naming: tuple[Tensor, Tensor] | None = None


def naming(cosine: Tensor, logit_scale: Tensor, embedding: Tensor, bank: Tensor) -> Tensor:
    """How much likelier a picture's own prompt is than others: CLIP's logit less the log-sum-exp over a bank, (N,).

    What makes a picture score high whatever is asked for cancels.

    Args:
        cosine: exp(logit_scale) * cosine with the own prompt, (N,).
        logit_scale: its exponential, ().
        embedding, bank: of the pictures (N, E) and of other prompts (M, E), of length 1.
    """
    return cosine - (logit_scale * embedding @ bank.T).logsumexp(dim=1)


class TasteHead:
    """Adds a taste to the cosine."""

    def __init__(self, weights: HeadWeights) -> None:
        tensors = {"cosine": weights.cosine}
        if weights.naming:
            tensors["naming"], tensors["bank"] = weights.naming
        tensors |= {f"linear.{group}": each for group, each in weights.linear.items()}
        self._reads: dict[str, tuple[str, ...]] = {}
        for kind, terms in (("prompted", weights.prompted), ("waves", weights.waves)):
            for name, (groups, parts) in terms.items():
                self._reads[f"{kind}.{name}"] = tuple(groups)
                tensors |= {f"{kind}.{name}.{place}": each for place, each in enumerate(parts)}
        self._tensors = {name: tensor.detach().float() for name, tensor in tensors.items()}
        self._linear = tuple(weights.linear)

    @classmethod
    def from_tensors(
        cls, reads: Mapping[str, Sequence[str]], tensors: Mapping[str, Tensor], features: int = FEATURES
    ) -> TasteHead:
        """From a file's tensors, whose names begin with `PREFIX`.

        Args:
            reads: as `reads` gives them.
            tensors: as `to_tensors` gives them.
            features: the version of `describe` that it was trained on.

        Raises:
            InputError: a tensor is missing, or its features are not computed here.
        """
        if not OLDEST <= features <= FEATURES:
            way_out = "Update this project" if features > FEATURES else "Train it again from the same choices"
            raise InputError(
                f"The classifier's head reads features of version {features}; this version of the project computes "
                f"{OLDEST} to {FEATURES}. {way_out}."
            )
        mine = {name.removeprefix(PREFIX): tensor for name, tensor in tensors.items()}
        terms: dict[str, dict[str, tuple[Sequence[str], list[Tensor]]]] = {"prompted": {}, "waves": {}}
        try:
            for term, groups in reads.items():
                kind, name = term.split(".", 1)
                count = 4 if kind == "prompted" else 3
                terms[kind][name] = (tuple(groups), [mine[f"{term}.{place}"] for place in range(count)])
            linear = {name[7:]: tensor for name, tensor in mine.items() if name.startswith("linear.")}
            bank = (mine["naming"], mine["bank"]) if "naming" in mine else None
            return cls(HeadWeights(mine["cosine"], linear, **terms, naming=bank))
        except KeyError as error:
            raise InputError(f"The classifier's head lacks {error.args[0]!r}. Train or export it again.") from error

    @property
    def reads(self) -> dict[str, tuple[str, ...]]:
        """The groups that each term reads: what a file must keep beside the tensors."""
        return dict(self._reads)

    def to_tensors(self) -> dict[str, Tensor]:
        """For a file."""
        return {PREFIX + name: tensor.cpu() for name, tensor in self._tensors.items()}

    def __call__(self, described: Mapping[str, Tensor], texts: Tensor, logit_scale: Tensor) -> Tensor:
        """Groups of `describe`, unit text features (N, E), exp(logit_scale) -> scores (N,), in nats."""
        mine = self._tensors = {name: tensor.to(texts.device) for name, tensor in self._tensors.items()}
        cosine = logit_scale * (described["embedding"] * texts).sum(dim=-1)  # (N,)
        scores = mine["cosine"] * cosine
        if "naming" in mine:
            scores = scores + mine["naming"] * naming(cosine, logit_scale, described["embedding"], mine["bank"])
        for group in self._linear:
            scores = scores + described[group] @ mine[f"linear.{group}"]
        for term, groups in self._reads.items():
            x = torch.cat([described[group] for group in groups], dim=1)
            left = x @ mine[f"{term}.0"] + mine[f"{term}.1"]  # (N, R)
            if term.startswith("waves."):
                scores = scores + torch.cos(left) @ mine[f"{term}.2"]
            else:
                scores = scores + (left * (texts @ mine[f"{term}.2"] + mine[f"{term}.3"])).sum(dim=-1)
        return scores
