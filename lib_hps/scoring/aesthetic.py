"""Aesthetic grades: a small head over CLIP's image features, blind to the prompt.

Three published layouts, told apart by their keys:

- improved-aesthetic-predictor (Schuhmann): `layers.{0,2,4,6,7}`, five linear layers with dropout between, over the
  normalised features of ViT-L/14;
- LAION-Aesthetics V1: one `weight` and `bias` over normalised features;
- simulacra-aesthetic-models (Crowson): `linear.weight`, `linear.bias` over normalised features * sqrt(D).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from lib_hps.errors import InputError, WeightsError

from .checkpoints import read_state_dict
from .clip_family import LoadOptions, load_entry
from .images import Preprocess
from .registry import REGISTRY, Entry
from .scorer import BatchScorer
from .weights import obtain_weights

if TYPE_CHECKING:
    import torch

    from .clip_scorer import ClipScorer

_MLP = (0, 2, 4, 6, 7)


class AestheticScorer(BatchScorer):
    """A head over a CLIP tower; scores are grades, about 1 to 10."""

    needs_prompt = False

    def __init__(self, *, name: str, version: str, head_path: Path, tower: ClipScorer) -> None:
        super().__init__(name=name, version=version, scale="points", slot=tower._slot)
        self._head_path = head_path
        self._tower = tower
        self._layers, self._gain = read_head(head_path)

    @property
    def preprocess(self) -> Preprocess:
        """See `BatchScorer.preprocess`."""
        return self._tower.preprocess

    def _score_batch(self, pixels: torch.Tensor, prompts: list[str] | None) -> torch.Tensor:
        from torch.nn.functional import linear

        features = self._tower.image_features(pixels)  # (B, D), length 1
        wanted = self._layers[0][0].shape[1]
        if features.shape[1] != wanted:
            raise WeightsError(
                f"{self._head_path.name} is a head for {wanted} features; {self._tower.name} gives {features.shape[1]}."
            )
        values = features * self._gain
        for weight, bias in self._layers:
            values = linear(values, weight.to(values.device), bias.to(values.device))
        return values.squeeze(-1)  # (B,)


def read_head(path: Path) -> tuple[list[tuple[torch.Tensor, torch.Tensor]], float]:
    """The linear layers of a head, first to last, and the factor on its normalised input.

    Raises:
        WeightsError: unreadable, or none of the three layouts; names the keys.
    """
    tensors, _ = read_state_dict(path)
    layouts = {
        "improved-aesthetic-predictor": [f"layers.{number}." for number in _MLP],
        "LAION": [""],
        "simulacra": ["linear."],
    }
    for layout, prefixes in layouts.items():
        names = [(f"{prefix}weight", f"{prefix}bias") for prefix in prefixes]
        if set(tensors) == {name for pair in names for name in pair}:
            layers = [(tensors[weight].float(), tensors[bias].float()) for weight, bias in names]
            return layers, layers[0][0].shape[1] ** 0.5 if layout == "simulacra" else 1.0
    raise WeightsError(
        f"{path} is no aesthetic head known here; it has {', '.join(sorted(tensors)[:6])}. "
        "Expected layers.{0,2,4,6,7}, weight and bias, or linear.weight and linear.bias."
    )


def load_aesthetic(entry: Entry, weights: str | os.PathLike[str] | None, options: LoadOptions) -> AestheticScorer:
    """The head given or known, over the tower that its input asks for (768: ViT-L/14; 512: ViT-B/16 or B/32).

    Raises:
        WeightsError, DownloadError: see `obtain_weights`; both files are needed.
    """
    path = obtain_weights(entry, weights, weights_dir=options.weights_dir, progress=options.progress)
    layers, _ = read_head(path)
    name = entry.tower or ""
    if layers[0][0].shape[1] == 512:
        is_b32 = "b_32" in path.name or "b32" in path.name
        name = "clip:ViT-B-32/openai" if is_b32 else "clip:ViT-B-16/openai"
    if name not in REGISTRY:
        raise InputError(f"{entry.name} names no CLIP for its head, got {name!r}.")
    tower = load_entry(REGISTRY[name], None, options)
    version = entry.version if path.name == entry.file_name else path.stem
    return AestheticScorer(name=entry.name, version=version, head_path=path, tower=tower)
