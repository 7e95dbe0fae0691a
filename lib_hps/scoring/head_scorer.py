"""Scores by a trained classifier that has a head of its own on its CLIP."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lib_hps.errors import InputError, WeightsError

from .clip_scorer import ClipScorer
from .preprocess import normalise

if TYPE_CHECKING:
    import torch


class HeadScorer(ClipScorer):
    """A CLIP with a `TasteHead`: its model is a `Clip` with the attribute `head`."""

    def _score_batch(self, pixels: torch.Tensor, prompts: list[str] | None) -> torch.Tensor:
        from .clip.head import describe

        if prompts is None:
            raise InputError(f"{self.name} needs a prompt.")
        preprocess = self.preprocess

        def read(model: Any, rows: torch.Tensor) -> torch.Tensor:
            return describe(model, normalise(rows, preprocess, dtype=self._slot.dtype), model.head.layers)

        described = self._slot.run(read, pixels)  # (B, F)
        texts = self.text_features(prompts).to(described.device)
        model = self._slot.get()
        head = model.head.to(described.device)
        return head(described, texts, model.logit_scale.detach().float().exp().to(described.device)).detach()


def load_with_head(path: Path, device: torch.device, dtype: torch.dtype, head: Mapping[str, Any]) -> Any:
    """A CLIP with its head, from a classifier's file.

    Args:
        head: what the file's card says of it: {"layers": [...]}.

    Raises:
        WeightsError: the file has no whole head.
    """
    from .checkpoints import read_state_dict
    from .clip.config import CONFIG_KEY, ClipConfig
    from .clip.head import PREFIX, TasteHead
    from .clip.loading import clip_from_tensors

    tensors, metadata = read_state_dict(path)
    try:
        config = ClipConfig.from_json(metadata.get(CONFIG_KEY, ""))
        mine = {name: tensors.pop(name) for name in list(tensors) if name.startswith(PREFIX)}
        taste = TasteHead.from_tensors(tuple(int(layer) for layer in head["layers"]), mine)
    except (InputError, KeyError, TypeError, ValueError) as error:
        raise WeightsError(f"{path}: {error}") from error
    clip: Any = clip_from_tensors(
        tensors, quick_gelu=config.quick_gelu, device=device, dtype=dtype, config=config, source=str(path)
    )
    clip.head = taste.to(device)
    return clip.eval()
