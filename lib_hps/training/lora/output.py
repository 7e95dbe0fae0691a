"""The file for `<lora:name:1>`: kohya's layout, checked against the base before it appears, with its card.

Metadata: `ss_*` as kohya's trainer writes it (what the WebUIs' Lora tab shows), modelspec 1.0.1, and `hps_*`.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from lib_hps.diffusion.lora import LoraModel, LoraUse
from lib_hps.diffusion.lora_file import LoraPair, read_lora, tensors_of
from lib_hps.diffusion.lora_names import LoraNames
from lib_hps.errors import StorageError, WeightsError
from lib_hps.files import atomic_write
from lib_hps.training.lora.config import NEGATIVE_TEXT, LoraSettings

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

    from lib_hps.diffusion.lora_names import Module
    from lib_hps.diffusion.pipeline import Pipeline
    from lib_hps.training.lora.base import BaseModel

_ARCHITECTURE = {"sd1": "stable-diffusion-v1", "sd2": "stable-diffusion-v2", "sdxl": "stable-diffusion-xl-v1-base"}
_VERSION = {"sd1": "sd_v1", "sd2": "sd_v2", "sdxl": "sdxl_base_v1-0"}
_CARD = {"sd1": "SD1", "sd2": "SD2", "sdxl": "SDXL"}


@dataclass(frozen=True)
class Facts:
    """What the metadata says about a run."""

    started: float
    steps: int
    pictures: int
    model_hash: str
    description: str


def kohya_tensors(pairs: Mapping[Module, LoraPair], names: LoraNames) -> dict[str, Tensor]:
    """The file's tensors.

    Raises:
        WeightsError: a weight that is no number.
    """
    for (part, path), pair in pairs.items():
        if not (bool(pair.down.isfinite().all()) and bool(pair.up.isfinite().all())):
            raise WeightsError(
                f"The training gave NaN in {part}.{path}, so no file was written. Lower the learning rate."
            )
    return tensors_of({names.write(part, path): pair for (part, path), pair in pairs.items()})


def metadata(name: str, settings: LoraSettings, base: BaseModel, facts: Facts, resolution: int) -> dict[str, str]:
    """All but the hashes."""
    prediction = "v" if base.is_v else "epsilon"
    alpha = settings.rank if settings.alpha is None else settings.alpha
    when = datetime.fromtimestamp(facts.started, tz=timezone.utc).isoformat(timespec="seconds")
    found = {
        "ss_output_name": name,
        "ss_sd_model_name": base.path.name,
        "ss_sd_model_hash": facts.model_hash,
        "ss_base_model_version": _VERSION[base.family] + ("_v" if base.is_v else ""),
        "ss_v2": str(base.family == "sd2"),
        "ss_network_module": "networks.lora",
        "ss_network_dim": settings.rank,
        "ss_network_alpha": alpha,
        "ss_learning_rate": settings.lr,
        "ss_unet_lr": settings.lr,
        "ss_text_encoder_lr": settings.lr if settings.text_encoder else "None",
        "ss_lr_scheduler": settings.schedule,
        "ss_optimizer": settings.optimizer,
        "ss_max_train_steps": settings.steps,
        "ss_steps": facts.steps,
        "ss_total_batch_size": settings.batch,
        "ss_num_train_images": facts.pictures,
        "ss_resolution": f"({resolution}, {resolution})",
        "ss_enable_bucket": str(settings.buckets),
        "ss_seed": settings.seed,
        "ss_clip_skip": "None",
        "ss_noise_offset": settings.noise_offset or "None",
        "ss_min_snr_gamma": settings.min_snr or "None",
        "ss_caption_dropout_rate": settings.caption_dropout,
        "ss_training_started_at": facts.started,
        "ss_training_comment": facts.description,
        "hps_objective": settings.objective,
        "modelspec.sai_model_spec": "1.0.1",
        "modelspec.architecture": f"{_ARCHITECTURE[base.family]}/lora",
        "modelspec.implementation": "https://github.com/Stability-AI/generative-models",
        "modelspec.title": name,
        "modelspec.description": facts.description,
        "modelspec.date": when,
        "modelspec.resolution": f"{resolution}x{resolution}",
        "modelspec.prediction_type": prediction,
        "modelspec.usage_hint": f"<lora:{name}:1>" + (f", negative: {NEGATIVE_TEXT}" if has_negative(settings) else ""),
    }
    return {key: str(value) for key, value in found.items()}


def has_negative(settings: LoraSettings) -> bool:
    """Whether pictures are to be drawn with "Weird image. " as the negative prompt."""
    return settings.objective == "hps"


def card(settings: LoraSettings, base: BaseModel, facts: Facts) -> dict[str, object]:
    """The sidecar that the WebUI's Lora tab reads."""
    return {
        "description": facts.description,
        "sd version": _CARD[base.family],
        "activation text": settings.activation_text,
        "preferred weight": 1.0,
        "negative text": NEGATIVE_TEXT if has_negative(settings) else "",
        "notes": f"{facts.steps} steps on {facts.pictures} pictures, objective {settings.objective}, {base.path.name}",
    }


def packed(tensors: Mapping[str, Tensor], details: Mapping[str, str]) -> bytes:
    """The safetensors file, with kohya's hashes of its content in its header."""
    import safetensors.torch

    content = safetensors.torch.save(dict(tensors), {k: v for k, v in details.items() if k.startswith("ss_")})
    body = content[8 + int.from_bytes(content[:8], "little") :]
    digest = hashlib.sha256(body).hexdigest()
    hashes = {
        "sshs_model_hash": digest,
        "sshs_legacy_hash": hashlib.sha256(content[0x100000:0x110000]).hexdigest()[:8],
        "modelspec.hash_sha256": f"0x{digest}",
    }
    return safetensors.torch.save(dict(tensors), {**details, **hashes})


def check(content: bytes, base: BaseModel, pipeline: Pipeline, prompt: str) -> float:
    """Put a file's content on the base as a WebUI would, and draw with it.

    One step of the smallest picture shows most changes for little time; where it shows none, a whole picture decides.

    Args:
        content: of the file.
        base: with the adapter off.
        pipeline: that draws it.
        prompt: to draw.

    Returns:
        How far the picture moved: the mean difference of its pixels, 0 to 255.

    Raises:
        WeightsError: a name that is none of the base's, or a file that changes nothing.
    """
    import numpy as np

    from lib_hps.diffusion.request import GenerationRequest

    def drawn(steps: int, side_px: int, *uses: LoraUse) -> np.ndarray:
        request = GenerationRequest(prompt, steps=steps, cfg=3.0, width=side_px, height=side_px, sampler="Euler")
        with model.applied(uses):
            return np.asarray(next(iter(pipeline.generate(request))).image, dtype=np.float32)

    handle, name = tempfile.mkstemp(suffix=".safetensors")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
        model = LoraModel(base.unet, [tower.model for tower in base.towers])
        model.match(read_lora(Path(name)))
        for steps, side_px in ((1, max(16, base.step_px)), (4, base.native_side_px)):
            before, after = drawn(steps, side_px), drawn(steps, side_px, LoraUse(Path(name)))
            distance = float(np.abs(after - before).mean())
            if distance > 0:
                return distance
    except OSError as error:
        raise StorageError(f"Cannot write {name}: {error.strerror}. Free some space.") from error
    finally:
        Path(name).unlink(missing_ok=True)
    raise WeightsError("The LoRA changes nothing in a picture, so it was not written. Train it longer.")


def write(path: Path, content: bytes, sidecar: Mapping[str, object], preview: Image | None) -> None:
    """Preview and card first, the file last: where it is, they are.

    Raises:
        StorageError: the folder cannot be written.
    """
    if preview is not None:
        stream = io.BytesIO()
        preview.save(stream, "PNG")
        with atomic_write(path.with_suffix(".png")) as out:
            out.write(stream.getvalue())
    with atomic_write(path.with_suffix(".json"), "w") as out:
        json.dump(dict(sidecar), out, indent=2, ensure_ascii=False)
    with atomic_write(path) as out:
        out.write(content)
