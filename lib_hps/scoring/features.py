"""A small memory of text features: prompts repeat from picture to picture and from round to round."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


class FeatureCache:
    """The last `capacity` prompts' features, least recently used out first."""

    def __init__(self, capacity: int = 1024) -> None:
        self._features: OrderedDict[str, torch.Tensor] = OrderedDict()
        self._capacity = capacity

    def get(self, prompt: str) -> torch.Tensor | None:
        """The features (D,) of a prompt seen lately."""
        features = self._features.get(prompt)
        if features is not None:
            self._features.move_to_end(prompt)
        return features

    def put(self, prompt: str, features: torch.Tensor) -> None:
        """Remember features (D,); the oldest go."""
        self._features[prompt] = features
        self._features.move_to_end(prompt)
        while len(self._features) > self._capacity:
            self._features.popitem(last=False)

    def clear(self) -> None:
        """Forget all."""
        self._features.clear()

    def __len__(self) -> int:
        return len(self._features)
