"""The contract that every scorer keeps, and what they share: checking what they are given, reading ahead, batching."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from lib_hps.errors import InputError

from .images import Preprocess, open_image
from .inputs import Images, Prompts, Source, check_images, check_prompts
from .pipeline import batched, default_workers, prefetch
from .prompts import clean_prompt
from .registry import Scale

if TYPE_CHECKING:
    import torch

    from .slot import ModelSlot


@dataclass(frozen=True)
class Scored:
    """The outcome for one image: a score, or why there is none."""

    index: int
    score: float | None
    error: InputError | None = None


class Scorer(ABC):
    """Says how good pictures are; higher is better, and only pictures of one prompt can be compared.

    Attributes:
        name: as `load_scorer` takes it.
        version: of the weights; scores of different versions are not comparable.
        needs_prompt: False for scorers that look at the picture alone.
        scale: what kind of number a score is.
    """

    name: str
    version: str
    needs_prompt: bool
    scale: Scale

    @property
    def batch_size(self) -> int:
        """Pictures that are scored together; the last bits of a score go with how many they are."""
        return 1

    @abstractmethod
    def iter_scores(self, images: Images, prompts: Prompts = None) -> Iterator[Scored]:
        """The scores one by one, in order, as they are ready; a picture that cannot be read does not stop the rest.

        Takes and refuses what `score` does, except that unreadable pictures come out as `Scored.error`.
        """

    def score(self, images: Images, prompts: Prompts = None) -> np.ndarray:
        """Score pictures.

        Args:
            images: PIL pictures, paths, or a float tensor (N, 3, H, W) in 0..1 on any device.
            prompts: one per picture, or one for all; the WebUI's syntax is taken out first.

        Returns:
            float32 (N,), higher is better.

        Raises:
            InputError: a picture that cannot be read, a tensor with NaN or outside of 0..1, an empty prompt, or
                counts that do not match.
        """
        scores: list[float] = []
        for scored in self.iter_scores(images, prompts):
            if scored.error is not None:
                raise scored.error
            scores.append(cast(float, scored.score))
        return np.asarray(scores, dtype=np.float32)

    @abstractmethod
    def to(self, device: str | torch.device) -> Scorer:
        """Compute on `device` from now on; returns itself."""

    @abstractmethod
    def unload(self, *, drop: bool = False) -> None:
        """Leave the GPU and free its memory; the next score brings the model back. With `drop` leave RAM as well."""


class BatchScorer(Scorer):
    """A scorer with one model: pictures are read ahead in threads, preprocessed, and scored in batches."""

    def __init__(
        self, *, name: str, version: str, scale: Scale, slot: ModelSlot[Any], clean_prompts: bool = True
    ) -> None:
        self.name, self.version, self.scale = name, version, scale
        self._slot = slot
        self._clean_prompts = clean_prompts
        self._workers = default_workers()

    @property
    def batch_size(self) -> int:
        """See `Scorer.batch_size`."""
        return self._slot.batch_size

    @property
    @abstractmethod
    def preprocess(self) -> Preprocess:
        """What the pictures go through; loads the model if only the weights can tell."""

    @abstractmethod
    def _score_batch(self, pixels: torch.Tensor, prompts: list[str] | None) -> torch.Tensor:
        """Square pictures (B, 3, S, S), uint8 or float32 in 0..1, -> scores (B,)."""

    def iter_scores(self, images: Images, prompts: Prompts = None) -> Iterator[Scored]:
        """See `Scorer.iter_scores`."""
        sources = check_images(images)
        texts = check_prompts(prompts, len(sources), are_needed=self.needs_prompt)
        if texts is not None and self._clean_prompts:
            texts = self._cleaned(texts)
        if len(sources) == 0:
            return iter(())
        if isinstance(sources, list):
            return self._iter_sources(sources, texts)
        return self._iter_tensor(sources, texts)

    def _cleaned(self, texts: list[str]) -> list[str]:
        cleaned = {text: clean_prompt(text) for text in dict.fromkeys(texts)}
        for text, rest in cleaned.items():
            if not rest.strip():
                raise InputError(f"Nothing is left of the prompt {text!r} without the WebUI's syntax.")
        return [cleaned[text] for text in texts]

    def _iter_tensor(self, images: torch.Tensor, texts: list[str] | None) -> Iterator[Scored]:
        from .preprocess import square

        step = self._slot.batch_size
        for start in range(0, len(images), step):
            pixels = square(images[start : start + step], self.preprocess)
            scores = self._score_batch(pixels, texts[start : start + step] if texts else None)
            yield from (Scored(start + i, s) for i, s in enumerate(scores.float().tolist()))

    def _iter_sources(self, sources: list[Source], texts: list[str] | None) -> Iterator[Scored]:
        import torch

        preprocess, size = self.preprocess, self._slot.batch_size

        def read(source: Source) -> np.ndarray:
            return preprocess(open_image(source, wanted_px=preprocess.size_px))

        ahead = 2 * size + self._workers
        for batch in batched(prefetch(read, sources, workers=self._workers, ahead=ahead), size):
            good = [(index, pixels) for index, pixels in batch if not isinstance(pixels, InputError)]
            scores: dict[int, float] = {}
            if good:
                pixels = torch.from_numpy(np.stack([p for _, p in good]))
                values = self._score_batch(pixels, [texts[i] for i, _ in good] if texts else None)
                scores = dict(zip((i for i, _ in good), values.float().tolist(), strict=True))
            for index, outcome in batch:
                error = outcome if isinstance(outcome, InputError) else None
                yield Scored(index, scores.get(index), error)

    def to(self, device: str | torch.device) -> BatchScorer:
        """See `Scorer.to`."""
        self._slot.to(device)
        return self

    def unload(self, *, drop: bool = False) -> None:
        """See `Scorer.unload`."""
        self._slot.unload(drop=drop)
