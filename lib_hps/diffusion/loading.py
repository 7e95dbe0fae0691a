"""From weights to running modules, offline: UNet and VAE through diffusers, CLIP through transformers."""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lib_hps.diffusion.architectures import CLIP_BIG_G, CLIP_H, CLIP_L, SD2_V_SIDE, Config
from lib_hps.diffusion.checkpoint import Checkpoint
from lib_hps.errors import InputError, WeightsError
from lib_hps.files import inside

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from lib_hps.diffusion.tokens import Tokenizer


@dataclass(frozen=True)
class TextTower:
    """A CLIP text model with its tokenizer; `model` gives every layer's hidden states."""

    model: Any
    tokenizer: Tokenizer


def load_unet(checkpoint: Checkpoint, dtype: torch.dtype) -> Any:
    """Build and fill diffusers' UNet2DConditionModel that the checkpoint's configuration describes."""
    from diffusers import UNet2DConditionModel

    return _from_single_file(UNet2DConditionModel, checkpoint, "model.diffusion_model.", dtype)


def load_vae(checkpoint: Checkpoint, dtype: torch.dtype) -> Any:
    """Build and fill diffusers' AutoencoderKL that the checkpoint's configuration describes."""
    from diffusers import AutoencoderKL

    return _from_single_file(AutoencoderKL, checkpoint, "first_stage_model.", dtype)


def _from_single_file(cls: Any, checkpoint: Checkpoint, prefix: str, dtype: torch.dtype) -> Any:
    weights = {key: value for key, value in checkpoint.weights.items() if key.startswith(prefix)}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", FutureWarning
            )  # diffusers renames torch_dtype; both spellings work in all versions
            model = cls.from_single_file(
                weights, original_config=checkpoint.config, torch_dtype=dtype, local_files_only=True
            )
    except (KeyError, ValueError, RuntimeError, TypeError, IndexError) as error:
        raise WeightsError(
            f"{checkpoint.path}: the {cls.__name__} does not fit its configuration ({error})."
        ) from error
    missing = [name for name, parameter in model.named_parameters() if parameter.is_meta]
    if missing:
        raise WeightsError(
            f"{checkpoint.path} lacks {len(missing)} weights of the {cls.__name__}, such as {missing[0]}."
        )
    return model.eval().requires_grad_(False)


def load_text_towers(checkpoint: Checkpoint, dtype: torch.dtype) -> list[TextTower]:
    """One tower for SD1 and SD2, two for SDXL: CLIP-L, OpenCLIP-H, CLIP-L and OpenCLIP-bigG.

    Others where a yaml and folders beside the file say so.
    """
    stage = _params(checkpoint).get("cond_stage_config", {})
    if checkpoint.family == "sd1":
        return [_tower(checkpoint, "cond_stage_model.transformer.", stage, CLIP_L, dtype)]
    if checkpoint.family == "sd2":
        # what the UNet sees is the last but one layer under the final norm: the last layer is never run
        unused = int((stage.get("params") or {}).get("layer", "penultimate") == "penultimate")
        return [_tower(checkpoint, "cond_stage_model.model.", stage, CLIP_H, dtype, unused=unused)]
    stages = _params(checkpoint).get("conditioner_config", {}).get("params", {}).get("emb_models", [{}, {}])
    return [
        _tower(checkpoint, "conditioner.embedders.0.transformer.", stages[0], CLIP_L, dtype),
        _tower(checkpoint, "conditioner.embedders.1.model.", stages[1], CLIP_BIG_G, dtype),
    ]


def prediction(checkpoint: Checkpoint, unet: Any) -> tuple[Config, bool]:
    """The model's own parameters, and whether it predicts v (Salimans & Ho 2022) in place of eps.

    A yaml or a key "v_pred" says it. An SD2 file without a yaml is asked, as the WebUI does (sd_models_config.py): at
    the last time step v is about -x.
    """
    import torch

    params = _params(checkpoint)
    if "parameterization" in params or "v_pred" in checkpoint.weights:
        return params, params.get("parameterization") == "v" or "v_pred" in checkpoint.weights
    if checkpoint.family != "sd2" or checkpoint.has_own_config:
        return params, False
    x = torch.full((1, unet.config.in_channels, 8, 8), 0.5, device=unet.device, dtype=unet.dtype)
    context = torch.full((1, 2, unet.config.cross_attention_dim), 0.5, device=unet.device, dtype=unet.dtype)
    with torch.no_grad():
        out = unet(x, torch.tensor([999], device=unet.device), encoder_hidden_states=context, return_dict=False)[0]
    is_v = float((out - x).mean()) < -1
    return {**params, "image_size": SD2_V_SIDE} if is_v else params, is_v


def _params(checkpoint: Checkpoint) -> Config:
    return checkpoint.config["model"]["params"]


def _tower(
    checkpoint: Checkpoint, prefix: str, stage: Config, standard: Config, dtype: torch.dtype, *, unused: int = 0
) -> TextTower:
    from lib_hps.diffusion.tokens import Tokenizer

    folder = _folder_beside(checkpoint, stage)
    config = _read_json(folder / "config.json") if folder else standard
    config = {**config, "num_hidden_layers": config["num_hidden_layers"] - unused}
    weights = {key[len(prefix) :]: value for key, value in checkpoint.weights.items() if key.startswith(prefix)}
    if "token_embedding.weight" in weights:  # open_clip's names
        weights = _from_open_clip(weights)
    has_projection = checkpoint.family == "sdxl" and "text_projection.weight" in weights
    model = _clip_text_model(checkpoint.path, config, weights, has_projection=has_projection).to(dtype)
    if folder and (folder / "vocab.json").is_file():
        return TextTower(model, Tokenizer.from_folder(folder))
    return TextTower(model, Tokenizer.standard(pad_id=standard["pad_token_id"]))


def _folder_beside(checkpoint: Checkpoint, stage: Config) -> Path | None:
    """The folder that the yaml names as `version`, where it lies beside the checkpoint."""
    name = (stage.get("params") or {}).get("version")
    if not checkpoint.has_own_config or not isinstance(name, str):
        return None
    try:
        folder = inside(checkpoint.path.parent, name)
    except InputError:
        return None
    return folder if (folder / "config.json").is_file() else None


def _read_json(path: Path) -> Config:
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path} cannot be read ({error}).") from error
    if not isinstance(found, dict):
        raise WeightsError(f"{path} is no configuration of a text encoder.")
    return found


def _from_open_clip(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename open_clip's text tower to transformers' names; its fused (3C, C) projections become q, k and v."""
    found = {
        "embeddings.token_embedding.weight": weights["token_embedding.weight"],
        "embeddings.position_embedding.weight": weights["positional_embedding"],
        "text_projection.weight": weights["text_projection"].T.contiguous(),  # (C, D) -> (D, C)
    }
    names = {
        "ln_1": "layer_norm1",
        "ln_2": "layer_norm2",
        "attn.out_proj": "self_attn.out_proj",
        "mlp.c_fc": "mlp.fc1",
        "mlp.c_proj": "mlp.fc2",
    }
    for key, value in weights.items():
        part, _, kind = key.rpartition(".")
        if part == "ln_final":
            found[f"final_layer_norm.{kind}"] = value
        if not key.startswith("transformer.resblocks."):
            continue
        _, _, number, inner = key.split(".", 3)
        if inner.startswith("attn.in_proj_"):
            for name, third in zip("qkv", value.chunk(3), strict=True):
                found[f"encoder.layers.{number}.self_attn.{name}_proj.{inner.removeprefix('attn.in_proj_')}"] = (
                    third.contiguous()
                )
        else:
            inner_name = inner.rpartition(".")[0]
            found[f"encoder.layers.{number}.{names[inner_name]}.{kind}"] = value
    return found


def _clip_text_model(path: Path, config: Config, weights: dict[str, Tensor], *, has_projection: bool) -> Any:
    """Build on the meta device (no random initialisation), then put the file's tensors in."""
    import torch
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    clip_config = CLIPTextConfig(
        **{
            key: value
            for key, value in config.items()
            if key not in ("architectures", "model_type", "dtype", "torch_dtype")
        }
    )
    with torch.device("meta"):
        model = (CLIPTextModelWithProjection if has_projection else CLIPTextModel)(clip_config)
    wanted = set(model.state_dict())
    bare = {key.removeprefix("text_model."): value for key, value in weights.items()}
    named = {
        name: bare[key] for name in wanted if (key := name.removeprefix("text_model.")) in bare
    }  # transformers 4 has the prefix
    missing = sorted(name for name in wanted - named.keys() if not name.endswith("position_ids"))
    shapes = model.state_dict()
    wrong = [name for name, value in named.items() if value.shape != shapes[name].shape]
    if missing or wrong:
        raise WeightsError(
            f"{path}: the text encoder does not fit its configuration: "
            f"{len(missing)} weights missing ({', '.join(missing[:2]) or '-'}), "
            f"{len(wrong)} of another shape ({', '.join(wrong[:2]) or '-'})."
        )
    model.load_state_dict({name: value.float() for name, value in named.items()}, assign=True, strict=False)
    for module in model.modules():
        if "position_ids" in dict(module.named_buffers(recurse=False)):
            module.register_buffer(
                "position_ids", torch.arange(clip_config.max_position_embeddings)[None], persistent=False
            )
    return model.eval().requires_grad_(False)
