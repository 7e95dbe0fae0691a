"""diffusers modules -> one LDM-layout `.safetensors` with the yaml that A1111 and diffusers read beside it."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import save_file
from transformers import CLIPTextModel

from .captions import CONTEXT, write_clip_tokenizer
from .vae import SCALE_FACTOR

_RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
_VAE_ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}


def export_tiny_sd(
    unet: UNet2DConditionModel,
    vae: AutoencoderKL,
    text: CLIPTextModel,
    merges: list[tuple[str, str]],
    folder: Path,
    metadata: dict[str, str] | None = None,
) -> Path:
    """Write `tiny-sd.safetensors` (fp16), `tiny-sd.yaml` and `text_encoder/` into `folder`; return the checkpoint."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {f"model.diffusion_model.{k}": v for k, v in unet_to_ldm(unet).items()}
    tensors |= {f"first_stage_model.{k}": v for k, v in vae_to_ldm(vae).items()}
    tensors |= {f"cond_stage_model.transformer.{k}": v for k, v in text_to_ldm(text).items()}
    tensors = {k: v.detach().cpu().half().contiguous() for k, v in tensors.items()}
    position_ids = "cond_stage_model.transformer.text_model.embeddings.position_ids"
    tensors[position_ids] = torch.arange(CONTEXT)[None]
    checkpoint = folder / "tiny-sd.safetensors"
    save_file(tensors, checkpoint, metadata={"format": "pt", **(metadata or {})})
    (folder / "tiny-sd.yaml").write_text(ldm_yaml(unet, vae))
    write_clip_tokenizer(merges, folder / "text_encoder")
    config = {k: v for k, v in text.config.to_diff_dict().items() if not k.startswith("_") and k != "dtype"}
    config |= {"architectures": ["CLIPTextModel"], "model_type": "clip_text_model", "hidden_act": "quick_gelu"}
    (folder / "text_encoder" / "config.json").write_text(json.dumps(config, indent=1))
    return checkpoint


def unet_to_ldm(unet: UNet2DConditionModel) -> dict[str, torch.Tensor]:
    """Rename the UNet's tensors to `input_blocks`, `middle_block`, `output_blocks`, for any depth and width."""
    per_level = unet.config.layers_per_block
    top = {"time_embedding.linear_1": "time_embed.0", "time_embedding.linear_2": "time_embed.2"}
    top |= {"conv_in": "input_blocks.0.0", "conv_norm_out": "out.0", "conv_out": "out.2"}

    def rename(key: str) -> str:
        for ours, theirs in top.items():
            if key.startswith(ours + "."):
                return theirs + key[len(ours) :]
        parts = key.split(".")
        if parts[0] == "mid_block":
            place = {"resnets.0": "0", "attentions.0": "1", "resnets.1": "2"}[".".join(parts[1:3])]
            return _block(f"middle_block.{place}", parts[1], parts[3:])
        level, kind, index = int(parts[1]), parts[2], int(parts[3])
        if parts[0] == "down_blocks":
            number = 1 + level * (per_level + 1) + (per_level if kind == "downsamplers" else index)
            stem = f"input_blocks.{number}"
        else:
            number = level * (per_level + 1) + (per_level if kind == "upsamplers" else index)
            stem = f"output_blocks.{number}"
        if kind == "downsamplers":
            return f"{stem}.0.op.{parts[-1]}"
        if kind == "upsamplers":
            has_attention = hasattr(unet.up_blocks[level], "attentions")
            return f"{stem}.{2 if has_attention else 1}.conv.{parts[-1]}"
        return _block(f"{stem}.{0 if kind == 'resnets' else 1}", kind, parts[4:])

    return {rename(k): v for k, v in unet.state_dict().items()}


def _block(stem: str, kind: str, rest: list[str]) -> str:
    if kind == "attentions":
        return ".".join([stem, *rest])
    return ".".join([stem, _RESNET[rest[0]], *rest[1:]])


def vae_to_ldm(vae: AutoencoderKL) -> dict[str, torch.Tensor]:
    """Rename the autoencoder's tensors; the attention's linear maps become 1x1 convolutions, as in LDM."""
    levels = len(vae.config.block_out_channels)

    def rename(key: str) -> str:
        parts = key.split(".")
        for i, p in enumerate(parts):
            if p == "down_blocks":
                parts[i] = "down"
            elif p == "up_blocks":
                parts[i], parts[i + 1] = "up", str(levels - 1 - int(parts[i + 1]))
            elif p == "mid_block":
                parts[i] = "mid"
        name = ".".join(parts)
        for ours, theirs in {
            ".mid.resnets.0": ".mid.block_1",
            ".mid.resnets.1": ".mid.block_2",
            ".mid.attentions.0": ".mid.attn_1",
            ".resnets.": ".block.",
            ".downsamplers.0.": ".downsample.",
            ".upsamplers.0.": ".upsample.",
            "conv_norm_out": "norm_out",
            "conv_shortcut": "nin_shortcut",
        }.items():
            name = name.replace(ours, theirs)
        if ".attn_1." in name:
            for ours, theirs in _VAE_ATTENTION.items():
                name = name.replace(f".attn_1.{ours}.", f".attn_1.{theirs}.")
        return name

    renamed = {rename(k): v for k, v in vae.state_dict().items()}
    return {
        k: v[:, :, None, None] if ".attn_1." in k and k.endswith("weight") and v.ndim == 2 else v
        for k, v in renamed.items()
    }


def text_to_ldm(text: CLIPTextModel) -> dict[str, torch.Tensor]:
    """Text tower names with the `text_model.` prefix, whichever form this transformers version keeps."""
    state = {k: v for k, v in text.state_dict().items() if not k.endswith("position_ids")}
    return {k if k.startswith("text_model.") else f"text_model.{k}": v for k, v in state.items()}


def ldm_yaml(unet: UNet2DConditionModel, vae: AutoencoderKL) -> str:
    """The v1-inference yaml of this architecture. `version` names the folder of text encoder and tokenizer."""
    channels, vae_channels = unet.config.block_out_channels, vae.config.block_out_channels
    return f"""model:
  target: ldm.models.diffusion.ddpm.LatentDiffusion
  params:
    linear_start: 0.00085
    linear_end: 0.0120
    num_timesteps_cond: 1
    log_every_t: 200
    timesteps: 1000
    first_stage_key: jpg
    cond_stage_key: txt
    image_size: 8
    channels: 4
    cond_stage_trainable: false
    conditioning_key: crossattn
    monitor: val/loss_simple_ema
    scale_factor: {SCALE_FACTOR}
    use_ema: false
    unet_config:
      target: ldm.modules.diffusionmodules.openaimodel.UNetModel
      params:
        image_size: 32
        in_channels: 4
        out_channels: 4
        model_channels: {channels[0]}
        attention_resolutions: [{", ".join(str(2**i) for i in range(len(channels)))}]
        num_res_blocks: {unet.config.layers_per_block}
        channel_mult: [{", ".join(_ratio(c, channels[0]) for c in channels)}]
        num_heads: {unet.config.attention_head_dim}
        use_spatial_transformer: true
        transformer_depth: 1
        context_dim: {unet.config.cross_attention_dim}
        use_checkpoint: false
        legacy: false
    first_stage_config:
      target: ldm.models.autoencoder.AutoencoderKL
      params:
        embed_dim: 4
        monitor: val/rec_loss
        ddconfig:
          double_z: true
          z_channels: 4
          resolution: 64
          in_channels: 3
          out_ch: 3
          ch: {vae_channels[0]}
          ch_mult: [{", ".join(_ratio(c, vae_channels[0]) for c in vae_channels)}]
          num_res_blocks: {vae.config.layers_per_block}
          attn_resolutions: []
          dropout: 0.0
        lossconfig:
          target: torch.nn.Identity
    cond_stage_config:
      target: ldm.modules.encoders.modules.FrozenCLIPEmbedder
      params:
        version: text_encoder
        max_length: {CONTEXT}
"""


def _ratio(value: int, base: int) -> str:
    if value % base:
        raise ValueError(f"{value} channels are no whole multiple of {base}: LDM's channel_mult needs one.")
    return str(value // base)
