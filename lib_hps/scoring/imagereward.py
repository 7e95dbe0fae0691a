"""ImageReward (Xu et al. 2023, BLIP with cross attention) through its own package `image-reward`, where installed."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

from lib_hps.errors import InputError, WeightsError

from .clip_family import LoadOptions
from .images import Preprocess
from .registry import Entry
from .scorer import BatchScorer
from .slot import ModelSlot

if TYPE_CHECKING:
    import os

    import torch

# As the package's own score(): prompts are cut and padded to this many tokens.
_MAX_TOKENS = 35


def is_installed() -> bool:
    """Whether the package can be found; does not import it."""
    return importlib.util.find_spec("ImageReward") is not None


class ImageRewardScorer(BatchScorer):
    """Standardised reward, about -2 to 2."""

    needs_prompt = True
    preprocess = Preprocess(224, "crop")

    def _score_batch(self, pixels: torch.Tensor, prompts: list[str] | None) -> torch.Tensor:
        import torch

        from .preprocess import normalise

        texts = prompts or []
        done: list[torch.Tensor] = []

        def reward(model: Any, rows: torch.Tensor) -> torch.Tensor:
            start = sum(len(part) for part in done)
            tokens = model.blip.tokenizer(
                texts[start : start + len(rows)],
                padding="max_length",
                truncation=True,
                max_length=_MAX_TOKENS,
                return_tensors="pt",
            ).to(rows.device)
            model.device = rows.device  # the package asks this attribute where to make its masks
            images = normalise(rows, self.preprocess, dtype=torch.float32)
            result: torch.Tensor = model.score_gard(tokens.input_ids, tokens.attention_mask, images).squeeze(-1)
            done.append(result)
            return result

        return self._slot.run(reward, pixels)


def load_imagereward(entry: Entry, weights: str | os.PathLike[str] | None, options: LoadOptions) -> ImageRewardScorer:
    """The package's model; it finds and fetches its own weights unless `weights` names the checkpoint.

    Raises:
        InputError: the package is not installed.
    """
    if not is_installed():
        raise InputError(
            "The scorer 'imagereward' needs its own package, which is not installed here: pip install image-reward, "
            "in an environment of its own (it needs an older transformers)."
        )

    def load(device: torch.device, dtype: torch.dtype) -> Any:
        import ImageReward

        try:
            return ImageReward.load(str(weights or "ImageReward-v1.0"), device=str(device))
        except (OSError, RuntimeError, AttributeError) as error:
            raise WeightsError(f"The package ImageReward cannot load its model: {error}") from error

    slot: ModelSlot[Any] = ModelSlot(
        load, device=options.device, dtype="fp32", batch_size=options.batch_size, name=entry.name
    )
    return ImageRewardScorer(
        name=entry.name, version=entry.version, scale=entry.scale, slot=slot, clean_prompts=options.clean_prompts
    )
