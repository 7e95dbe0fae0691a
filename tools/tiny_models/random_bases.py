"""Small random checkpoints of SDXL's and SD2's architecture in the real file layout, for tests.

The yaml beside each has what A1111 needs to build the same model. Its text encoder of open_clip is the architecture
`tiny-text` (`open_clip/tiny-text.json` here): whoever loads the file in A1111 registers that folder with open_clip.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
import transformers
import yaml
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import save_file
from transformers import CLIPTextConfig

from .captions import write_clip_tokenizer
from .export import text_to_ldm, unet_to_ldm, vae_to_ldm

OPEN_CLIP = Path(__file__).with_name("open_clip")
MERGES = [("c", "a"), ("ca", "t</w>"), ("d", "o"), ("do", "g</w>"), ("h", "e"), ("he", "a")]
CONTEXT = 1280  # of both towers: one of the widths by which diffusers knows SDXL's architecture
_OPEN_WIDTH = 64
_LDM, _SGM = "ldm.modules", "sgm.modules"


def write_sdxl(folder: Path, *, seed: int = 1, name: str = "tiny-xl") -> SimpleNamespace:
    """Write `<name>.safetensors`, `<name>.yaml` and its text encoders; gives `path` and the modules."""
    torch.manual_seed(seed)
    vocabulary = 512 + len(MERGES) + 2
    towers = (
        _text_model("CLIPTextModel", CONTEXT - _OPEN_WIDTH, vocabulary, layers=2, act="quick_gelu"),
        _text_model("CLIPTextModelWithProjection", _OPEN_WIDTH, 49408, layers=3, act="gelu"),
    )
    pooled = towers[1].config.projection_dim + 6 * 256
    unet = UNet2DConditionModel(
        sample_size=8,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        block_out_channels=(64, 128),
        layers_per_block=1,
        attention_head_dim=[2, 4],
        cross_attention_dim=CONTEXT,
        use_linear_projection=True,
        transformer_layers_per_block=[1, 2],
        addition_embed_type="text_time",
        addition_time_embed_dim=256,
        projection_class_embeddings_input_dim=pooled,
    ).eval()
    vae = _autoencoder(0.13025)
    state = unet.state_dict()
    plain = {key: value for key, value in state.items() if not key.startswith("add_embedding.")}
    ldm = unet_to_ldm(SimpleNamespace(config=unet.config, state_dict=lambda: plain, up_blocks=unet.up_blocks))
    for ours, theirs in (("linear_1", "0"), ("linear_2", "2")):
        for kind in ("weight", "bias"):
            ldm[f"label_emb.0.{theirs}.{kind}"] = state[f"add_embedding.{ours}.{kind}"]
    weights = {f"model.diffusion_model.{key}": value for key, value in ldm.items()}
    weights |= {f"first_stage_model.{key}": value for key, value in vae_to_ldm(vae).items()}
    weights |= {f"conditioner.embedders.0.transformer.{key}": value for key, value in text_to_ldm(towers[0]).items()}
    weights |= {f"conditioner.embedders.1.model.{key}": value for key, value in _to_open_clip(towers[1]).items()}
    folders = [_write_text(folder / f"{name}-text-{n}", tower) for n, tower in enumerate(towers, 1)]
    write_clip_tokenizer(MERGES, folders[0])
    network = _unet_yaml(unet, "openaimodel.UNetModel", f"{_SGM}.diffusionmodules")
    network["params"] |= {"num_classes": "sequential", "adm_in_channels": pooled}
    del network["params"]["image_size"]  # this UNet does not take it
    path = _write(folder / name, weights, _sdxl_yaml(network, vae, folders))
    return SimpleNamespace(path=path, unet=unet, vae=vae, towers=towers)


def write_sd2(folder: Path, *, seed: int = 1, name: str = "tiny-2", is_v: bool = True) -> SimpleNamespace:
    """The same for SD2: one text encoder of open_clip, whose last layer is left out."""
    torch.manual_seed(seed)
    tower = _text_model("CLIPTextModelWithProjection", _OPEN_WIDTH, 49408, layers=3, act="gelu")
    for name, parameter in tower.named_parameters():
        if name.endswith("final_layer_norm.bias"):  # A1111 divides by the mean of what comes out
            torch.nn.init.normal_(parameter, std=0.1)
    unet = UNet2DConditionModel(
        sample_size=8,
        down_block_types=("CrossAttnDownBlock2D",) * 2,
        up_block_types=("CrossAttnUpBlock2D",) * 2,
        block_out_channels=(64, 128),
        layers_per_block=2,
        attention_head_dim=[2, 4],
        cross_attention_dim=_OPEN_WIDTH,
        use_linear_projection=True,
    ).eval()
    vae = _autoencoder(0.18215)
    weights = {f"model.diffusion_model.{key}": value for key, value in unet_to_ldm(unet).items()}
    weights |= {f"first_stage_model.{key}": value for key, value in vae_to_ldm(vae).items()}
    weights |= {f"cond_stage_model.model.{key}": value for key, value in _to_open_clip(tower).items()}
    text = _write_text(folder / f"{name}-text", tower)
    stage = {"freeze": True, "layer": "penultimate", "arch": "tiny-text", "version": str(text)}
    network = _unet_yaml(unet, "openaimodel.UNetModel", f"{_LDM}.diffusionmodules")
    params = {
        "linear_start": 0.00085,
        "linear_end": 0.0120,
        "num_timesteps_cond": 1,
        "timesteps": 1000,
        "first_stage_key": "jpg",
        "cond_stage_key": "txt",
        "image_size": 8,
        "channels": 4,
        "conditioning_key": "crossattn",
        "scale_factor": 0.18215,
        "use_ema": False,
        "parameterization": "v" if is_v else "eps",
        "unet_config": network,
        "first_stage_config": _vae_yaml(vae, "ldm.models.autoencoder.AutoencoderKL"),
        "cond_stage_config": {"target": f"{_LDM}.encoders.modules.FrozenOpenCLIPEmbedder", "params": stage},
    }
    config = {"model": {"target": "ldm.models.diffusion.ddpm.LatentDiffusion", "params": params}}
    return SimpleNamespace(path=_write(folder / name, weights, config), unet=unet, vae=vae, towers=(tower,))


def _write(stem: Path, weights: dict[str, torch.Tensor], config: dict[str, Any]) -> Path:
    path = stem.with_name(f"{stem.name}.safetensors")
    save_file({key: value.detach().clone().contiguous() for key, value in weights.items()}, path)
    stem.with_name(f"{stem.name}.yaml").write_text(yaml.safe_dump(config))
    return path


def _text_model(kind: str, width: int, vocabulary: int, *, layers: int, act: str) -> Any:
    config = CLIPTextConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=4 * width if kind.endswith("Projection") else 64,
        num_hidden_layers=layers,
        num_attention_heads=2,
        hidden_act=act,
        projection_dim=width,
        bos_token_id=vocabulary - 2,
        eos_token_id=vocabulary - 1,
        pad_token_id=0 if kind.endswith("Projection") else vocabulary - 1,
    )
    return getattr(transformers, kind)(config).eval()


def _autoencoder(scale: float) -> AutoencoderKL:
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(32,) * 4,
        layers_per_block=1,
        latent_channels=4,
        scaling_factor=scale,
    ).eval()


def _write_text(folder: Path, tower: Any) -> Path:
    """The text encoder's configuration; of open_clip's vocabulary nothing needs to be written."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {key: value for key, value in tower.config.to_diff_dict().items() if key not in ("dtype", "torch_dtype")}
    kept = {name: getattr(tower.config, name) for name in ("hidden_act", "num_hidden_layers", "projection_dim")}
    more = {"architectures": ["CLIPTextModel"], "model_type": "clip_text_model"}
    (folder / "config.json").write_text(json.dumps({**config, **kept, **more}))
    return folder


def _to_open_clip(model: Any) -> dict[str, torch.Tensor]:
    """transformers' names -> open_clip's."""
    state = {key.removeprefix("text_model."): value for key, value in model.state_dict().items()}
    found = {
        "token_embedding.weight": state["embeddings.token_embedding.weight"],
        "positional_embedding": state["embeddings.position_embedding.weight"],
        "text_projection": state["text_projection.weight"].T,
        "ln_final.weight": state["final_layer_norm.weight"],
        "ln_final.bias": state["final_layer_norm.bias"],
        "logit_scale": torch.tensor(2.66),
    }
    names = {
        "layer_norm1": "ln_1",
        "layer_norm2": "ln_2",
        "self_attn.out_proj": "attn.out_proj",
        "mlp.fc1": "mlp.c_fc",
        "mlp.fc2": "mlp.c_proj",
    }
    for layer in range(model.config.num_hidden_layers):
        ours, theirs = f"encoder.layers.{layer}.", f"transformer.resblocks.{layer}."
        for kind in ("weight", "bias"):
            found[f"{theirs}attn.in_proj_{kind}"] = torch.cat(
                [state[f"{ours}self_attn.{name}_proj.{kind}"] for name in "qkv"]
            )
            for name, other in names.items():
                found[f"{theirs}{other}.{kind}"] = state[f"{ours}{name}.{kind}"]
    return found


def _unet_yaml(unet: Any, target: str, package: str) -> dict[str, Any]:
    config = unet.config
    channels, kinds = config.block_out_channels, config.down_block_types
    params = {
        "image_size": 32,
        "in_channels": 4,
        "out_channels": 4,
        "model_channels": channels[0],
        "attention_resolutions": [2**level for level, kind in enumerate(kinds) if "Attn" in kind],
        "num_res_blocks": config.layers_per_block,
        "channel_mult": [count // channels[0] for count in channels],
        "num_head_channels": channels[0] // config.attention_head_dim[0],
        "use_spatial_transformer": True,
        "use_linear_in_transformer": True,
        "transformer_depth": config.transformer_layers_per_block,
        "context_dim": config.cross_attention_dim,
        "use_checkpoint": False,
        "legacy": False,
    }
    return {"target": f"{package}.{target}", "params": params}


def _vae_yaml(vae: Any, target: str) -> dict[str, Any]:
    shape = {
        "double_z": True,
        "z_channels": 4,
        "resolution": 64,
        "in_channels": 3,
        "out_ch": 3,
        "ch": 32,
        "ch_mult": [1] * len(vae.config.block_out_channels),
        "num_res_blocks": 1,
        "attn_resolutions": [],
        "dropout": 0.0,
    }
    loss = {"target": "torch.nn.Identity"}
    return {"target": target, "params": {"embed_dim": 4, "monitor": "x", "ddconfig": shape, "lossconfig": loss}}


def _sdxl_yaml(network: dict[str, Any], vae: Any, folders: list[Path]) -> dict[str, Any]:
    encoders = f"{_SGM}.encoders.modules"
    first = {"version": str(folders[0]), "layer": "hidden", "layer_idx": 1}
    second = {"arch": "tiny-text", "version": str(folders[1]), "layer": "penultimate"}
    second |= {"freeze": True, "always_return_pooled": True, "legacy": False}
    towers = [
        {"input_key": "txt", "target": f"{encoders}.FrozenCLIPEmbedder", "params": first},
        {"input_key": "txt", "target": f"{encoders}.FrozenOpenCLIPEmbedder2", "params": second},
        *(
            {"input_key": key, "target": f"{encoders}.ConcatTimestepEmbedderND", "params": {"outdim": 256}}
            for key in ("original_size_as_tuple", "crop_coords_top_left", "target_size_as_tuple")
        ),
    ]
    denoiser = f"{_SGM}.diffusionmodules"
    params = {
        "scale_factor": 0.13025,
        "image_size": 8,  # read by us alone; A1111 refuses it here: take it out for A1111
        "disable_first_stage_autocast": True,
        "denoiser_config": {
            "target": f"{denoiser}.denoiser.DiscreteDenoiser",
            "params": {
                "num_idx": 1000,
                "weighting_config": {"target": f"{denoiser}.denoiser_weighting.EpsWeighting"},
                "scaling_config": {"target": f"{denoiser}.denoiser_scaling.EpsScaling"},
                "discretization_config": {"target": f"{denoiser}.discretizer.LegacyDDPMDiscretization"},
            },
        },
        "network_config": network,
        "conditioner_config": {
            "target": f"{_SGM}.GeneralConditioner",
            "params": {"emb_models": [{"is_trainable": False, **tower} for tower in towers]},
        },
        "first_stage_config": _vae_yaml(vae, "sgm.models.autoencoder.AutoencoderKLInferenceWrapper"),
    }
    return {"model": {"target": "sgm.models.diffusion.DiffusionEngine", "params": params}}
