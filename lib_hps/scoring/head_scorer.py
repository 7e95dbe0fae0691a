"""Scores by a trained classifier that has a head of its own on its CLIP."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lib_hps.errors import InputError, WeightsError

from .clip_scorer import ClipScorer
from .prompts import tags_of

if TYPE_CHECKING:
    import torch


class HeadScorer(ClipScorer):
    """A CLIP with a `TasteHead`: its model is a `Clip` with the attribute `head`."""

    def _score_batch(self, pixels: torch.Tensor, prompts: list[str] | None) -> torch.Tensor:
        import torch

        from .clip.head_features import describe

        if prompts is None:
            raise InputError(f"{self.name} needs a prompt.")
        preprocess = self.preprocess
        sizes: dict[str, int] = {}

        def read(model: Any, rows: torch.Tensor) -> torch.Tensor:
            described = describe(model, rows, preprocess)
            sizes.update((group, each.shape[1]) for group, each in described.items())
            return torch.cat(list(described.values()), dim=1)

        flat = self._slot.run(read, pixels)  # (B, all groups)
        described = dict(zip(sizes, flat.split(list(sizes.values()), dim=1), strict=True))
        texts = self.text_features(prompts).to(flat.device)
        model = self._slot.get()
        tags = self._tags(prompts).to(flat.device) if model.head.asks_tags else None
        return model.head(described, texts, model.logit_scale.detach().float().exp().to(flat.device), tags)

    def _tags(self, prompts: list[str]) -> torch.Tensor:
        """Features of the prompts' tags (N, most tags, E), with zeros behind the last."""
        from .clip.tag_features import side_by_side

        each = [tags_of(prompt) for prompt in prompts]
        features = self.text_features([tag for tags in each for tag in tags])
        return side_by_side(features.split([len(tags) for tags in each]))


def load_with_head(path: Path, device: torch.device, dtype: torch.dtype, head: Mapping[str, Any]) -> Any:
    """A CLIP with its head, from a classifier's file.

    Args:
        head: what the file's card says of it: {"features": version, "reads": {term: groups}}.

    Raises:
        WeightsError: the file has no whole head, or one of features that are not computed here.
    """
    from .checkpoints import read_state_dict
    from .clip.config import CONFIG_KEY, ClipConfig
    from .clip.head import PREFIX, TasteHead
    from .clip.head_features import OLDEST
    from .clip.loading import clip_from_tensors

    tensors, metadata = read_state_dict(path)
    try:
        config = ClipConfig.from_json(metadata.get(CONFIG_KEY, ""))
        mine = {name: tensors.pop(name) for name in list(tensors) if name.startswith(PREFIX)}
        reads = {str(name): list(groups) for name, groups in head["reads"].items()}
        features = int(head.get("features", OLDEST))  # the first files did not note it
        taste = TasteHead.from_tensors(reads, mine, features)
    except (InputError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise WeightsError(f"{path}: {error}") from error
    clip: Any = clip_from_tensors(
        tensors, quick_gelu=config.quick_gelu, device=device, dtype=dtype, config=config, source=str(path)
    )
    clip.head = taste
    return clip.eval()
