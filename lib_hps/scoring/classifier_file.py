"""The weight file of a classifier that somebody trained: one `.safetensors` that can be scored with as it is.

Its metadata hold three keys:

- `hps_config`: the architecture, as `ClipConfig.to_json()` writes it;
- `hps_scorer`: how it scores, JSON as `ScorerCard` has it, for example
  {"format": 1, "name": "my-taste", "version": "1", "preprocess": "crop", "tokenizer": "openai", "scale": "cosine"};
- `hps_merges`: only where `tokenizer` is "embedded": the BPE merges file, as text.

`tokenizer` is "openai" (the vocabulary of every published CLIP), "embedded", or the name of a merges file beside the
weights. Unknown keys of `hps_scorer` are kept in `extra`: trainers note there what they trained on.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from lib_hps.errors import InputError, WeightsError
from lib_hps.files import atomic_write, inside

from .clip.config import CONFIG_KEY, ClipConfig
from .images import CLIP_MEAN, CLIP_STD, Mode
from .registry import Scale
from .safetensors_writing import write_tensors

if TYPE_CHECKING:
    import torch

    from .clip.tokenizer import Tokenizer

SCORER_KEY = "hps_scorer"
MERGES_KEY = "hps_merges"
FORMAT = 2
"""2 knows the key `head` of `scoring.clip.head`: {"features": version, "reads": {term: groups}}; others are 1."""


@dataclass(frozen=True, kw_only=True)
class ScorerCard:
    """How a trained classifier scores; `extra` is the trainer's (base model, data, licence, measured quality)."""

    name: str
    version: str = "1"
    preprocess: Mode = "crop"
    tokenizer: str = "openai"
    scale: Scale = "cosine"
    mean: tuple[float, float, float] = CLIP_MEAN
    std: tuple[float, float, float] = CLIP_STD
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.name or not re.fullmatch(r"[^=,\x00-\x1f]+", self.name):
            raise InputError(f"ScorerCard.name must be a line without '=' and ',', got {self.name!r}.")
        if self.preprocess not in get_args(Mode):
            raise InputError(
                f"ScorerCard.preprocess must be one of {', '.join(get_args(Mode))}, got {self.preprocess!r}."
            )
        if self.scale not in ("cosine", "logit"):
            raise InputError(f"ScorerCard.scale must be 'cosine' or 'logit', got {self.scale!r}.")
        if len(self.mean) != 3 or len(self.std) != 3:
            raise InputError(f"ScorerCard needs three means and deviations, got {self.mean} and {self.std}.")

    def to_json(self) -> str:
        """The text kept under `hps_scorer`."""
        known = {name: getattr(self, name) for name in _FIELDS}
        return json.dumps({"format": 2 if "head" in self.extra else 1, **known, **self.extra}, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> ScorerCard:
        """Read what `to_json` wrote.

        Raises:
            InputError: not JSON, of a later format, or a field out of range.
        """
        try:
            fields = dict(json.loads(text))
            if int(fields.pop("format", FORMAT)) > FORMAT:
                raise InputError("This classifier was written by a later version of this project. Update it.")
            known = {name: fields.pop(name) for name in _FIELDS if name in fields}
            for name in ("mean", "std"):
                if name in known:
                    known[name] = tuple(float(value) for value in known[name])
            return cls(**known, extra=fields)
        except InputError:
            raise
        except (TypeError, ValueError) as error:
            raise InputError(f"{SCORER_KEY} is not a scorer's card ({error}): {text[:200]!r}.") from error


_FIELDS = ("name", "version", "preprocess", "tokenizer", "scale", "mean", "std")


def write_classifier(
    path: str | os.PathLike[str],
    tensors: Mapping[str, torch.Tensor],
    *,
    config: ClipConfig,
    card: ScorerCard,
    merges_file: str | os.PathLike[str] | None = None,
) -> Path:
    """Write a classifier, atomically; `load_scorer(path)` then needs nothing else.

    Args:
        tensors: in open_clip's layout, any dtype.
        merges_file: plain or gzip; given exactly if the card's tokenizer is "embedded".

    Raises:
        InputError: the card says "embedded" and there is no merges file, or the reverse.
        StorageError: the file cannot be written.
    """
    if (card.tokenizer == "embedded") != (merges_file is not None):
        raise InputError("A merges file is given exactly if the card's tokenizer is 'embedded'.")
    metadata = {CONFIG_KEY: config.to_json(), SCORER_KEY: card.to_json(), "format": "pt"}
    if merges_file is not None:
        raw = Path(merges_file).read_bytes()
        metadata[MERGES_KEY] = (gzip.decompress(raw) if raw.startswith(b"\x1f\x8b") else raw).decode("utf-8")
    with atomic_write(path) as stream:
        write_tensors(stream, tensors, metadata)
    return Path(path)


def read_card(path: Path, metadata: Mapping[str, str]) -> ScorerCard | None:
    """The card in a file's metadata; None where there is none.

    Raises:
        WeightsError: there is one and it cannot be used.
    """
    if SCORER_KEY not in metadata:
        return None
    try:
        return ScorerCard.from_json(metadata[SCORER_KEY])
    except InputError as error:
        raise WeightsError(f"{path}: {error}") from error


def make_tokenizer(path: Path, card: ScorerCard, metadata: Mapping[str, str], context_length: int) -> Tokenizer:
    """The tokenizer that a classifier was trained with.

    Raises:
        WeightsError: its merges are neither in the file nor beside it.
    """
    from .clip.tokenizer import Tokenizer

    if card.tokenizer == "openai":
        return Tokenizer(context_length=context_length)
    if card.tokenizer == "embedded":
        if MERGES_KEY not in metadata:
            raise WeightsError(
                f"{path} says that its tokenizer is embedded, but has no {MERGES_KEY!r}. Export it again."
            )
        with tempfile.TemporaryDirectory(prefix="hps-") as folder:
            merges = Path(folder) / "merges.txt"
            merges.write_text(metadata[MERGES_KEY], encoding="utf-8")
            return Tokenizer(merges, context_length=context_length)
    merges = inside(path.parent, card.tokenizer)
    if not merges.is_file():
        raise WeightsError(f"{path} needs its tokenizer {card.tokenizer} beside it. Copy that file too.")
    return Tokenizer(merges, context_length=context_length)
