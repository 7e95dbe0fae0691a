"""The finished scorers in the formats that people load: a classifier file, and HPS v1's `{"state_dict": ...}`."""

from __future__ import annotations

from pathlib import Path

import torch

from lib_hps.files import atomic_write
from lib_hps.scoring.classifier_file import ScorerCard, write_classifier
from lib_hps.scoring.clip.model import Clip

from .captions import write_open_clip_merges
from .contrastive import Recipe


def publish_scorer(recipe: Recipe, model: Clip, merges: list[tuple[str, str]], folder: Path) -> None:
    """Write `model.safetensors` and `merges.txt.gz`; for `tiny-hps` also `hpc.pt`, the layout of HPS v1 (fp16 all)."""
    folder.mkdir(parents=True, exist_ok=True)
    write_open_clip_merges(merges, folder / "merges.txt.gz")
    tensors = {k: v.detach().cpu().half() for k, v in model.state_dict().items()}
    card = ScorerCard(name=recipe.name, version="2", preprocess="crop", tokenizer="merges.txt.gz")
    write_classifier(folder / "model.safetensors", tensors, config=recipe.config, card=card)
    if recipe.name == "tiny-hps":
        with atomic_write(folder / "hpc.pt") as stream:
            torch.save({"state_dict": tensors}, stream)
