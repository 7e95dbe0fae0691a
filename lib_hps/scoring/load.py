"""From a scorer's name, or a file, to the scorer."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from lib_hps.errors import InputError

from .clip_family import LoadOptions, load_classifier, load_entry, load_open_clip_name
from .ensemble import PREFIX, EnsembleScorer, parse_ensemble
from .registry import REGISTRY, entry_for
from .scorer import Scorer
from .weights import Progress, find_trained

if TYPE_CHECKING:
    import torch

_WEIGHT_SUFFIXES = {".safetensors", ".pt", ".pth", ".bin", ".ckpt"}


def load_scorer(
    name: str,
    weights: str | os.PathLike[str] | None = None,
    device: str | torch.device = "auto",
    dtype: str | torch.dtype = "auto",
    *,
    weights_dir: str | os.PathLike[str] | None = None,
    batch_size: int | None = None,
    progress: Progress | None = None,
    clean_prompts: bool = True,
) -> Scorer:
    """Find (or download) a scorer's weights; the model itself is read at the first score.

    Args:
        name: one of `list_scorers()`, `clip:<open_clip name>/<training>`, `ensemble:<a>=<weight>,<b>=<weight>`, or the
            path of a trained classifier.
        weights: a weight file, or a folder that holds it; default: searched, then downloaded.
        device: auto, cpu, cuda, cuda:1, mps.
        dtype: auto, bf16, fp16, fp32; auto is bf16 or fp16 on a GPU and fp32 elsewhere, but for large models bf16 on a
            CPU that has instructions for it.
        weights_dir: the host's folder for weights, searched after `$HPS_DIR` and before the cache.
        batch_size: pictures per forward pass; halved where memory does not suffice.
        progress: called with (bytes so far, bytes in all) during a download; None shows a bar.
        clean_prompts: take the WebUI's syntax out of prompts. Off for comparisons with other implementations.

    Raises:
        InputError: no such scorer, device, dtype or ensemble.
        WeightsError: the weights are missing, incomplete, or of another architecture.
        DownloadError, StorageError: they could not be fetched or stored.
    """
    options = LoadOptions(
        weights_dir=weights_dir,
        device=device,
        dtype=dtype,
        batch_size=batch_size,
        progress=progress,
        clean_prompts=clean_prompts,
    )
    name = str(name).strip()
    if name.startswith(PREFIX):
        if weights is not None:
            raise InputError("An ensemble has no weights of its own. Name a member by its file's path instead.")
        members = [(_load_one(member, None, options), weight) for member, weight in parse_ensemble(name)]
        return EnsembleScorer(name, members)
    return _load_one(name, weights, options)


def _load_one(name: str, weights: str | os.PathLike[str] | None, options: LoadOptions) -> Scorer:
    if name.startswith("clip:"):
        return load_open_clip_name(name, weights, options)
    if _looks_like_file(name):
        if weights is not None:
            raise InputError(f"{name!r} is a file itself; there can be no second one ({weights}).")
        return load_classifier(Path(name).expanduser(), options)
    trained = find_trained(name, options.weights_dir) if name not in REGISTRY else None
    if trained is not None:
        return load_classifier(trained, options)
    entry = entry_for(name)
    if entry.family == "aesthetic":
        from .aesthetic import load_aesthetic

        return load_aesthetic(entry, weights, options)
    if entry.family == "imagereward":
        from .imagereward import load_imagereward

        return load_imagereward(entry, weights, options)
    return load_entry(entry, weights, options)


def _looks_like_file(name: str) -> bool:
    separators = [os.sep, *([os.altsep] if os.altsep else [])]
    return Path(name).suffix.lower() in _WEIGHT_SUFFIXES or any(separator in name for separator in separators)
