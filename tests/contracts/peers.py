"""The public CLIP implementations that our numbers are held against, imported whole or not at all.

None of them is needed to use this project. Each function imports one, or raises ImportError with the reason, also
where the package is installed but broken beside this PyTorch.
"""

from __future__ import annotations

import gzip
import importlib
import importlib.util
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

from lib_hps.scoring.clip.bpe import OPENAI_MERGES

_KEEP: list[object] = []  # a torch.library.Library takes its operators along when it is collected


def _import_torchvision() -> None:
    """torchvision with operators declared where its compiled part does not load (built for another torch)."""
    import torch

    if "torchvision" in sys.modules:
        return
    try:
        importlib.import_module("torchvision")
    except RuntimeError:  # operator torchvision::nms does not exist
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        library = torch.library.Library("torchvision", "FRAGMENT")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _KEEP.append(library)
        importlib.import_module("torchvision")


def _import(name: str) -> types.ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise
    except Exception as error:
        raise ImportError(f"{name} is installed but fails: {type(error).__name__}: {error}") from error


def open_clip() -> Any:
    """open_clip_torch."""
    if importlib.util.find_spec("open_clip") is None:
        raise ImportError("open_clip is not installed")
    _import_torchvision()
    return _import("open_clip")


def hpsv2() -> Any:
    """The hpsv2 package; 1.2.0's wheel forgot the tokenizer's merges, which are the same file as ours."""
    if importlib.util.find_spec("hpsv2") is None:
        raise ImportError("hpsv2 is not installed")
    _import_torchvision()
    real_open = gzip.open

    def open_merges(path: Any, *args: Any, **kwargs: Any) -> Any:
        missing = Path(path).name == OPENAI_MERGES.name and not Path(path).exists()
        return real_open(OPENAI_MERGES if missing else path, *args, **kwargs)

    with mock.patch("gzip.open", open_merges):
        _import("hpsv2.img_score")
        return _import("hpsv2.src.open_clip")


def openai_clip(module: str) -> Any:
    """One module of OpenAI's `clip` ("model", "simple_tokenizer"), without its torchvision and pkg_resources."""
    package = importlib.util.find_spec("clip")
    folder = next(iter(package.submodule_search_locations or []), None) if package else None
    if folder is None:
        raise ImportError("OpenAI's clip is not installed")
    spec = importlib.util.spec_from_file_location(f"openai_clip_{module}", Path(folder) / f"{module}.py")
    if spec is None or spec.loader is None:
        raise ImportError(f"OpenAI's clip has no {module}.py")
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def transformers() -> Any:
    """transformers."""
    return _import("transformers")


def transformers_features(output: Any) -> Any:
    """The projected features: transformers 5 wraps in an output object what older versions return bare."""
    return getattr(output, "pooler_output", output)


PEERS: dict[str, Callable[[], Any]] = {
    "open_clip": open_clip,
    "hpsv2": hpsv2,
    "openai": lambda: openai_clip("model"),
    "transformers": transformers,
}
