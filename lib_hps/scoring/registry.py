"""What can score: names, files, where they come from, and how their numbers are meant. No torch here.

Sizes and checksums stand here only where they are known for certain; a download is checked against what the hub says.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lib_hps.errors import InputError

from .clip.cleaning import Cleaning
from .images import Mode

Family = Literal["clip", "aesthetic", "imagereward"]
Scale = Literal["cosine", "logit", "points", "standardised"]
"""cosine: -1..1; logit: exp(logit_scale) * cosine; points: a regressed grade; standardised: in deviations."""

BUNDLED = Path(__file__).resolve().parents[1] / "bundled"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One scorer that can be asked for by name.

    Attributes:
        file_name: what the weights are called in the weights folder.
        hub_repo, hub_file: where huggingface.co has them; None where nobody published them there.
        source: where a person finds them if the hub has not.
        cleaning: which tokenizer's text cleaning the model was trained with.
        tower: for `aesthetic`, the scorer name of the CLIP below the head.
        is_bundled: comes with this project.
    """

    name: str
    family: Family
    version: str
    file_name: str
    licence: str
    architecture: str
    scale: Scale
    source: str
    quick_gelu: bool = False
    preprocess: Mode = "crop"
    cleaning: Cleaning = "clip"
    hub_repo: str | None = None
    hub_file: str | None = None
    size_bytes: int | None = None
    sha256: str | None = None
    tower: str | None = None
    is_bundled: bool = False


def _open_clip(name: str, tag: str, repo: str, licence: str, file: str = "open_clip_model.safetensors") -> Entry:
    return Entry(
        name=f"clip:{name}/{tag}",
        family="clip",
        version=tag,
        file_name=f"{name}-{tag}.safetensors",
        licence=licence,
        architecture=name,
        scale="cosine",
        source=f"https://huggingface.co/{repo}",
        # OpenAI trained with x * sigmoid(1.702 x); open_clip's own trainings use the plain GELU
        quick_gelu=tag == "openai" or name.endswith("-quickgelu"),
        hub_repo=repo,
        hub_file=file,
    )


def _bundled(name: str) -> Entry:
    return Entry(
        name=name,
        family="clip",
        version="1",
        file_name="model.safetensors",
        licence="Apache-2.0",
        architecture="tiny CLIP, 64 px",
        scale="cosine",
        source="comes with this project",
        is_bundled=True,
    )


_ENTRIES = (
    Entry(
        name="hps-v1",
        family="clip",
        version="1",
        file_name="hpc.pt",
        licence="Apache-2.0",
        architecture="ViT-L-14",
        scale="cosine",
        source="the download link in the README of https://github.com/tgxs002/align_sd",
        quick_gelu=True,
    ),
    Entry(
        name="hps-v2.0",
        family="clip",
        version="2.0",
        file_name="HPS_v2_compressed.pt",
        licence="Apache-2.0",
        architecture="ViT-H-14",
        scale="cosine",
        source="https://huggingface.co/xswu/HPSv2",
        preprocess="pad",
        hub_repo="xswu/HPSv2",
        hub_file="HPS_v2_compressed.pt",
    ),
    Entry(
        name="hps-v2.1",
        family="clip",
        version="2.1",
        file_name="HPS_v2.1_compressed.pt",
        licence="Apache-2.0",
        architecture="ViT-H-14",
        scale="cosine",
        source="https://huggingface.co/xswu/HPSv2",
        preprocess="pad",
        hub_repo="xswu/HPSv2",
        hub_file="HPS_v2.1_compressed.pt",
    ),
    Entry(
        name="pickscore",
        family="clip",
        version="1",
        file_name="PickScore_v1.safetensors",
        licence="see its hub page",
        architecture="ViT-H-14",
        scale="logit",
        source="https://huggingface.co/yuvalkirstain/PickScore_v1",
        preprocess="crop-floor",
        cleaning="transformers",
        hub_repo="yuvalkirstain/PickScore_v1",
        hub_file="model.safetensors",
    ),
    Entry(
        name="aesthetic",
        family="aesthetic",
        version="sac+logos+ava1-l14-linearMSE",
        file_name="sac+logos+ava1-l14-linearMSE.pth",
        licence="Apache-2.0",
        architecture="MLP over ViT-L-14",
        scale="points",
        source="https://github.com/christophschuhmann/improved-aesthetic-predictor",
        hub_repo="trl-lib/ddpo-aesthetic-predictor",
        hub_file="aesthetic-model.pth",
        tower="clip:ViT-L-14/openai",
    ),
    Entry(
        name="imagereward",
        family="imagereward",
        version="1.0",
        file_name="ImageReward.pt",
        licence="Apache-2.0",
        architecture="BLIP ViT-L",
        scale="points",
        source="the package `image-reward`, which fetches its own weights",
    ),
    _bundled("tiny-hps"),
    _bundled("tiny-holdout"),
    # Repositories as open_clip 3.3's pretrained.py names them.
    _open_clip("ViT-B-32", "openai", "timm/vit_base_patch32_clip_224.openai", "see its hub page"),
    _open_clip("ViT-B-16", "openai", "timm/vit_base_patch16_clip_224.openai", "see its hub page"),
    _open_clip("ViT-L-14", "openai", "timm/vit_large_patch14_clip_224.openai", "see its hub page"),
    _open_clip("ViT-L-14-336", "openai", "timm/vit_large_patch14_clip_336.openai", "see its hub page"),
    _open_clip("ViT-B-32", "laion2b_s34b_b79k", "laion/CLIP-ViT-B-32-laion2B-s34B-b79K", "MIT"),
    _open_clip("ViT-B-16", "laion2b_s34b_b88k", "laion/CLIP-ViT-B-16-laion2B-s34B-b88K", "MIT"),
    _open_clip("ViT-H-14", "laion2b_s32b_b79k", "laion/CLIP-ViT-H-14-laion2B-s32B-b79K", "MIT"),
    _open_clip("ViT-g-14", "laion2b_s34b_b88k", "laion/CLIP-ViT-g-14-laion2B-s34B-b88K", "MIT"),
)

REGISTRY: dict[str, Entry] = {entry.name: entry for entry in _ENTRIES}


def entry_for(name: str) -> Entry:
    """The registry's entry of that name.

    Raises:
        InputError: unknown; says what comes closest.
    """
    if name in REGISTRY:
        return REGISTRY[name]
    close = difflib.get_close_matches(name, REGISTRY, n=1)
    hint = f"Did you mean {close[0]!r}? " if close else ""
    known = ", ".join(entry.name for entry in _ENTRIES)
    raise InputError(
        f"There is no scorer {name!r}. {hint}Known: {known}, ensemble:<a>=<weight>,<b>=<weight>, or a file."
    )


def entry_for_file(path: Path) -> Entry | None:
    """The entry whose weights bear this file's name; a bundled file is known by its metadata instead."""
    return next((e for e in _ENTRIES if not e.is_bundled and path.name == e.file_name), None)
