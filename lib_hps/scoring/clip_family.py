"""Builds the CLIP scorers: HPS v1, v2.0, v2.1, PickScore, CLIP score, the bundled ones, and trained classifiers."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lib_hps.errors import InputError, WeightsError

from .classifier_file import ScorerCard, make_tokenizer, read_card
from .registry import REGISTRY, Entry, entry_for_file
from .slot import ModelSlot
from .weights import Progress, check_complete, obtain_weights

if TYPE_CHECKING:
    import torch

    from .clip.cleaning import Cleaning
    from .clip.tokenizer import Tokenizer
    from .clip_scorer import ClipScorer


# 50 million parameters in half precision: every published CLIP is larger, the bundled models are smaller.
LARGE_BYTES = 100_000_000


@dataclass(frozen=True, kw_only=True)
class LoadOptions:
    """What `load_scorer` was told besides the name; the same for every member of an ensemble."""

    weights_dir: str | os.PathLike[str] | None = None
    device: str | torch.device = "auto"
    dtype: str | torch.dtype = "auto"
    batch_size: int | None = None
    progress: Progress | None = None
    clean_prompts: bool = True

    def slot(self, path: Path, *, quick_gelu: bool, name: str) -> ModelSlot[Any]:
        """A slot that reads a CLIP from `path` when it is first used."""

        def load(device: torch.device, dtype: torch.dtype) -> Any:
            from .checkpoints import load_clip

            return load_clip(path, quick_gelu=quick_gelu, device=device, dtype=dtype)

        return self.slot_of(path, load, name=name)

    def slot_of(self, path: Path, load: Callable[[torch.device, torch.dtype], Any], *, name: str) -> ModelSlot[Any]:
        """A slot that calls `load`, which reads `path`, when it is first used."""
        return ModelSlot(
            load,
            device=self.device,
            dtype=self.dtype,
            batch_size=self.batch_size,
            is_large=path.stat().st_size >= LARGE_BYTES,
            name=name,
        )


def load_entry(entry: Entry, weights: str | os.PathLike[str] | None, options: LoadOptions) -> ClipScorer:
    """A scorer of the registry, from its weights wherever they are.

    Raises:
        WeightsError, DownloadError: see `obtain_weights`.
    """
    from .clip_scorer import ClipScorer

    path = obtain_weights(entry, weights, weights_dir=options.weights_dir, progress=options.progress)
    if entry.is_bundled:
        return load_classifier(path, options)
    return ClipScorer(
        name=entry.name,
        version=entry.version,
        scale=entry.scale,
        slot=options.slot(path, quick_gelu=entry.quick_gelu, name=entry.name),
        make_tokenizer=partial(_openai_tokenizer, cleaning=entry.cleaning),
        mode=entry.preprocess,
        clean_prompts=options.clean_prompts,
    )


def _openai_tokenizer(context_length: int, *, cleaning: Cleaning) -> Tokenizer:
    from .clip.tokenizer import Tokenizer

    return Tokenizer(context_length=context_length, cleaning=cleaning)


def load_classifier(path: Path, options: LoadOptions) -> ClipScorer:
    """A trained classifier from its file alone: what it needs to know stands in the file's metadata.

    A published file without metadata is known by its name (`hpc.pt`, `HPS_v2.1_compressed.pt`, ...).

    Raises:
        WeightsError: missing or damaged, or nothing says how it is to be used.
    """
    from .checkpoints import read_header
    from .clip_scorer import ClipScorer

    if not path.is_file():
        raise WeightsError(f"There is no weight file {path}.")
    check_complete(path)
    metadata = read_header(path).metadata if path.suffix == ".safetensors" else {}
    card = read_card(path, metadata)
    if card is None:
        entry = entry_for_file(path)
        if entry is not None and entry.family == "clip":
            return load_entry(entry, path, options)
        raise WeightsError(
            f"{path} does not say how it is to be used (no `hps_scorer` in its metadata). Name the scorer that it is, "
            f"such as load_scorer('hps-v2.1', weights={path.name!r})."
        )
    known: ScorerCard = card
    head = known.extra.get("head")
    kind = ClipScorer
    # the file's own hps_config states the activation
    slot = options.slot(path, quick_gelu=False, name=known.name)
    if head is not None:
        from .head_scorer import HeadScorer, load_with_head

        kind = HeadScorer
        slot = options.slot_of(path, lambda device, dtype: load_with_head(path, device, dtype, head), name=known.name)
    return kind(
        name=known.name,
        version=known.version,
        scale=known.scale,
        slot=slot,
        make_tokenizer=lambda length: make_tokenizer(path, known, metadata, length),
        mode=known.preprocess,
        mean=known.mean,
        std=known.std,
        clean_prompts=options.clean_prompts,
    )


def load_open_clip_name(name: str, weights: str | os.PathLike[str] | None, options: LoadOptions) -> ClipScorer:
    """`clip:<architecture>/<training>`: our own towers where registry or file permit, else open_clip's.

    Raises:
        InputError: malformed, or neither known here nor to an installed open_clip.
    """
    if name in REGISTRY:
        return load_entry(REGISTRY[name], weights, options)
    if weights is not None and (entry := entry_of_architecture(name, weights)) is not None:
        return load_entry(entry, weights, options)
    architecture, _, tag = _parts(name)
    from .open_clip_tower import load_open_clip

    return load_open_clip(name, architecture, tag, weights, options)


def entry_of_architecture(name: str, weights: str | os.PathLike[str]) -> Entry | None:
    """How `clip:<architecture>/<training>` scores with the weights of a file; None where it takes open_clip itself.

    Raises:
        InputError: malformed.
    """
    from .clip.architectures import ARCHITECTURES

    architecture, _, tag = _parts(name)
    if architecture.removesuffix("-quickgelu") not in ARCHITECTURES:
        return None
    return Entry(
        name=name,
        family="clip",
        version=tag or Path(weights).stem,
        file_name=Path(weights).name,
        licence="as its owner gives it",
        architecture=architecture,
        scale="cosine",
        source="where its owner has it",
        quick_gelu=tag == "openai" or architecture.endswith("-quickgelu"),
    )


def _parts(name: str) -> tuple[str, str, str]:
    parts = name.removeprefix("clip:").partition("/")
    if not parts[0]:
        raise InputError(f"{name!r} is not clip:<architecture>/<training>, such as clip:ViT-L-14/openai.")
    return parts
