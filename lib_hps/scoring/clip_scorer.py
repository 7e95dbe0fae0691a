"""Scores by CLIP features: the cosine of picture and prompt (HPS, PickScore, CLIP score)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from lib_hps.errors import InputError, WeightsError

from .features import FeatureCache
from .images import CLIP_MEAN, CLIP_STD, Mode, Preprocess
from .registry import Scale
from .scorer import BatchScorer
from .slot import ModelSlot

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)


class ClipScorer(BatchScorer):
    """A CLIP with two towers. Text features are cached, so a batch of one prompt costs the text tower once.

    Args:
        slot: holds our `Clip`, or anything with its `config`, `encode_image`, `encode_text` and `logit_scale`.
        make_tokenizer: context length -> texts to tokens; called once, when the first prompt comes.
        mode: how pictures become square; their size is the model's own.
        scale: "cosine", or "logit" for exp(logit_scale) * cosine.
    """

    needs_prompt = True

    def __init__(
        self,
        *,
        name: str,
        version: str,
        scale: Scale,
        slot: ModelSlot[Any],
        make_tokenizer: Callable[[int], Any],
        mode: Mode,
        mean: tuple[float, float, float] = CLIP_MEAN,
        std: tuple[float, float, float] = CLIP_STD,
        clean_prompts: bool = True,
    ) -> None:
        super().__init__(name=name, version=version, scale=scale, slot=slot, clean_prompts=clean_prompts)
        self._make_tokenizer = make_tokenizer
        self._tokenizer: Any = None
        self._look: tuple[Mode, tuple[float, float, float], tuple[float, float, float]] = (mode, mean, std)
        self._preprocess: Preprocess | None = None
        self._features = FeatureCache()
        self._has_warned = False

    @property
    def preprocess(self) -> Preprocess:
        """See `BatchScorer.preprocess`."""
        if self._preprocess is None:
            mode, mean, std = self._look
            self._preprocess = Preprocess(self._slot.get().config.vision.image_size, mode, mean, std)
        return self._preprocess

    def image_features(self, pixels: torch.Tensor) -> torch.Tensor:
        """Square pictures (B, 3, S, S), uint8 or float32 in 0..1, -> unit features (B, D), float32."""
        from torch.nn.functional import normalize

        from .preprocess import normalise

        preprocess = self.preprocess

        def encode(model: Any, rows: torch.Tensor) -> torch.Tensor:
            return model.encode_image(normalise(rows, preprocess, dtype=self._slot.dtype)).float()

        return normalize(self._slot.run(encode, pixels), dim=-1)

    def text_features(self, prompts: list[str]) -> torch.Tensor:
        """Cleaned prompts -> (B, D) float32 of length 1, on the model's device."""
        import torch
        from torch.nn.functional import normalize

        kept = {text: self._features.get(text) for text in dict.fromkeys(prompts)}
        found = {text: feature for text, feature in kept.items() if feature is not None}
        missing = [text for text in kept if text not in found]
        if missing:
            tokens = self._tokens(missing)
            features = self._slot.run(lambda model, rows: model.encode_text(rows).float(), tokens)
            for text, feature in zip(missing, normalize(features, dim=-1), strict=True):
                found[text] = feature
                self._features.put(text, feature)
        return torch.stack([found[text].to(self._slot.device) for text in prompts])

    def _tokens(self, texts: list[str]) -> torch.Tensor:
        if self._tokenizer is None:
            config = self._slot.get().config.text
            tokenizer = self._make_tokenizer(config.context_length)
            if tokenizer.vocab_size != config.vocab_size:
                raise WeightsError(
                    f"{self.name} knows {config.vocab_size} tokens, its tokenizer {tokenizer.vocab_size}: it was "
                    "trained with another one. Load it from a file that says so (see `hps_scorer` in its metadata)."
                )
            self._tokenizer = tokenizer
        if not self._has_warned and any(self._tokenizer.truncated(text) for text in texts):
            self._has_warned = True
            log.warning(
                "%s reads the first %d tokens of a prompt; longer ones are cut, as in its paper. (Said once.)",
                self.name,
                self._tokenizer.context_length,
            )
        return self._tokenizer(texts)

    def _score_batch(self, pixels: torch.Tensor, prompts: list[str] | None) -> torch.Tensor:
        if prompts is None:
            raise InputError(f"{self.name} needs a prompt.")
        images = self.image_features(pixels)
        texts = self.text_features(prompts).to(images.device)
        cosine = (images * texts).sum(dim=-1)  # (B,)
        if self.scale == "logit":
            return cosine * self._slot.get().logit_scale.detach().float().exp().to(cosine.device)
        return cosine

    def to(self, device: str | torch.device) -> ClipScorer:
        """See `Scorer.to`."""
        self._features.clear()
        super().to(device)
        return self

    def unload(self, *, drop: bool = False) -> None:
        """See `Scorer.unload`."""
        self._features.clear()
        super().unload(drop=drop)
