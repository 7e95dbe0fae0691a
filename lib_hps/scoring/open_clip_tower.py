"""Architectures that our own towers lack, through the open_clip library where it is installed (2.20 to 3.x)."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from lib_hps.errors import InputError, WeightsError

from .images import CLIP_MEAN, CLIP_STD
from .registry import REGISTRY
from .slot import ModelSlot

if TYPE_CHECKING:
    import torch

    from .clip_family import LoadOptions
    from .clip_scorer import ClipScorer


def load_open_clip(
    name: str, architecture: str, tag: str, weights: str | os.PathLike[str] | None, options: LoadOptions
) -> ClipScorer:
    """A scorer over a model of the open_clip library.

    Raises:
        InputError: open_clip is not there, or does not know the architecture or its training.
        WeightsError: it cannot load the weights.
    """
    from .clip_scorer import ClipScorer

    known = ", ".join(key for key in REGISTRY if key.startswith("clip:"))
    try:
        import open_clip
    except (ImportError, RuntimeError) as error:  # a torchvision that does not match torch raises RuntimeError
        raise InputError(
            f"{name!r} is none of {known}, and the open_clip library, which may know it, cannot be imported ({error})."
        ) from error
    if architecture not in open_clip.list_models():
        raise InputError(f"open_clip has no architecture {architecture!r}. Known without it: {known}.")
    tags = open_clip.list_pretrained_tags_by_model(architecture)
    if weights is None and tag not in tags:
        raise InputError(f"open_clip has no training {tag!r} of {architecture}; it has {', '.join(tags) or 'none'}.")

    def load(device: torch.device, dtype: torch.dtype) -> Any:
        try:
            model = open_clip.create_model(architecture, pretrained=str(weights or tag))
        except (OSError, RuntimeError, KeyError) as error:
            raise WeightsError(f"open_clip cannot load {name}: {error}") from error
        return _adapted(model).to(device=device, dtype=dtype)

    return ClipScorer(
        name=name,
        version=tag or "file",
        scale="cosine",
        slot=ModelSlot(load, device=options.device, dtype=options.dtype, batch_size=options.batch_size, name=name),
        make_tokenizer=lambda length: _Tokens(open_clip.get_tokenizer(architecture), length),
        mode="crop",
        mean=tuple(_stated(open_clip, architecture, tag).get("mean") or CLIP_MEAN),  # type: ignore[arg-type]
        std=tuple(_stated(open_clip, architecture, tag).get("std") or CLIP_STD),  # type: ignore[arg-type]
        clean_prompts=options.clean_prompts,
    )


def _stated(open_clip: Any, architecture: str, tag: str) -> dict[str, Any]:
    """What open_clip says of a training: its mean and deviation, among others."""
    return dict(open_clip.pretrained.get_pretrained_cfg(architecture, tag) or {}) if tag else {}


def _adapted(model: Any) -> Any:
    """Give an open_clip model the `config` that our `Clip` has."""
    size = model.visual.image_size
    text = getattr(model, "text", model)
    model.config = SimpleNamespace(
        vision=SimpleNamespace(image_size=size[0] if isinstance(size, (tuple, list)) else size),
        text=SimpleNamespace(context_length=getattr(text, "context_length", 77), vocab_size=None),
    )
    return model


class _Tokens:
    """open_clip's tokenizer with the members that ours has; it cannot say what it cuts."""

    vocab_size: int | None = None

    def __init__(self, tokenize: Any, context_length: int) -> None:
        self._tokenize = tokenize
        self.context_length = context_length

    def __call__(self, texts: list[str]) -> Any:
        return self._tokenize(texts, context_length=self.context_length)

    def truncated(self, text: str) -> bool:
        rows = self._tokenize([text], context_length=self.context_length + 1)
        return bool((rows[0] != 0).sum() > self.context_length)
