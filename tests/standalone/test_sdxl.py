"""A file of SDXL's architecture (two text towers, size conditioning) draws what diffusers draws."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml
from random_models import MERGES, diffusers_start

from lib_hps.diffusion.pipeline import load_pipeline
from lib_hps.diffusion.request import GenerationRequest

WIDTH = 1024  # twice 1024 is the context width by which diffusers knows SDXL


def text_model(vocabulary, pad_id, act, name):
    import transformers
    from transformers import CLIPTextConfig

    config = CLIPTextConfig(
        vocab_size=vocabulary,
        hidden_size=WIDTH,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        hidden_act=act,
        projection_dim=64,
        bos_token_id=vocabulary - 2,
        eos_token_id=vocabulary - 1,
        pad_token_id=pad_id,
    )
    return getattr(transformers, name)(config).eval()


def to_open_clip(model):
    """transformers' names -> open_clip's, the layout of `conditioner.embedders.1.model`."""
    state = {key.removeprefix("text_model."): value for key, value in model.state_dict().items()}
    found = {
        "token_embedding.weight": state["embeddings.token_embedding.weight"],
        "positional_embedding": state["embeddings.position_embedding.weight"],
        "text_projection": state["text_projection.weight"].T,
        "ln_final.weight": state["final_layer_norm.weight"],
        "ln_final.bias": state["final_layer_norm.bias"],
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


@pytest.fixture(scope="module")
def sdxl(tmp_path_factory):
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from safetensors.torch import save_file

    from tools.tiny_models.captions import write_clip_tokenizer
    from tools.tiny_models.export import text_to_ldm, unet_to_ldm, vae_to_ldm

    torch.manual_seed(1)
    unet = UNet2DConditionModel(
        sample_size=8,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        block_out_channels=(64, 128),
        layers_per_block=1,
        attention_head_dim=[2, 4],
        cross_attention_dim=2 * WIDTH,
        use_linear_projection=True,
        transformer_layers_per_block=[1, 2],
        addition_embed_type="text_time",
        addition_time_embed_dim=256,
        projection_class_embeddings_input_dim=64 + 6 * 256,
    ).eval()
    vae = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(32,) * 4,
        layers_per_block=1,
        latent_channels=4,
        scaling_factor=0.13025,
    ).eval()
    vocabulary = 512 + len(MERGES) + 2
    towers = (
        text_model(vocabulary, vocabulary - 1, "quick_gelu", "CLIPTextModel"),
        text_model(vocabulary, 0, "gelu", "CLIPTextModelWithProjection"),
    )
    state = unet.state_dict()
    plain = {key: value for key, value in state.items() if not key.startswith("add_embedding.")}
    ldm = unet_to_ldm(SimpleNamespace(config=unet.config, state_dict=lambda: plain, up_blocks=unet.up_blocks))
    for ours, theirs in (("linear_1", "0"), ("linear_2", "2")):
        for kind in ("weight", "bias"):
            ldm[f"label_emb.0.{theirs}.{kind}"] = state[f"add_embedding.{ours}.{kind}"]
    weights = {f"model.diffusion_model.{key}": value for key, value in ldm.items()}
    weights |= {f"first_stage_model.{key}": value for key, value in vae_to_ldm(vae).items()}
    weights |= {f"conditioner.embedders.0.transformer.{key}": value for key, value in text_to_ldm(towers[0]).items()}
    weights |= {f"conditioner.embedders.1.model.{key}": value for key, value in to_open_clip(towers[1]).items()}
    folder = tmp_path_factory.mktemp("sdxl")
    save_file(
        {key: value.detach().clone().contiguous() for key, value in weights.items()}, folder / "tiny-xl.safetensors"
    )
    for name, tower in zip(("text_encoder", "text_encoder_2"), towers, strict=True):
        write_clip_tokenizer(MERGES, folder / name)
        config = {key: value for key, value in tower.config.to_diff_dict().items() if key != "dtype"}
        (folder / name / "config.json").write_text(json.dumps(config | {"hidden_act": tower.config.hidden_act}))
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        path = folder / "text_encoder_2" / name
        path.write_text(json.dumps(json.loads(path.read_text()) | {"pad_token": "!"}))
    unet_params = {
        "in_channels": 4,
        "out_channels": 4,
        "model_channels": 64,
        "attention_resolutions": [2],
        "num_res_blocks": 1,
        "channel_mult": [1, 2],
        "num_head_channels": 32,
        "use_linear_in_transformer": True,
        "transformer_depth": [1, 2],
        "context_dim": 2 * WIDTH,
        "num_classes": "sequential",
        "adm_in_channels": 64 + 6 * 256,
    }
    dd = {"z_channels": 4, "in_channels": 3, "out_ch": 3, "ch": 32, "ch_mult": [1, 1, 1, 1], "num_res_blocks": 1}
    params = {
        "scale_factor": 0.13025,
        "image_size": 8,
        "network_config": {"params": unet_params},
        "first_stage_config": {"params": {"ddconfig": dd}},
        "conditioner_config": {
            "params": {"emb_models": [{"params": {"version": name}} for name in ("text_encoder", "text_encoder_2")]}
        },
    }
    (folder / "tiny-xl.yaml").write_text(yaml.safe_dump({"model": {"params": params}}))
    return SimpleNamespace(path=folder / "tiny-xl.safetensors", unet=unet, vae=vae, towers=towers)


def test_an_sdxl_file_draws_what_diffusers_draws(sdxl):
    from diffusers import EulerDiscreteScheduler, StableDiffusionXLPipeline

    pipeline = load_pipeline(sdxl.path, "cpu")
    assert (pipeline.family, pipeline.native_side_px, pipeline._towers[1].tokenizer.pad_id) == ("sdxl", 64, 0)
    reference = StableDiffusionXLPipeline(
        vae=sdxl.vae,
        unet=sdxl.unet,
        text_encoder=sdxl.towers[0],
        text_encoder_2=sdxl.towers[1],
        tokenizer=pipeline._towers[0].tokenizer._backend,
        tokenizer_2=pipeline._towers[1].tokenizer._backend,
        scheduler=EulerDiscreteScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", timestep_spacing="linspace"
        ),
        add_watermarker=False,
    )
    reference.set_progress_bar_config(disable=True)
    noise = torch.randn((1, 4, 8, 12), generator=torch.Generator().manual_seed(3))
    request = GenerationRequest("a cat", negative="dog", steps=4, sampler="Euler", width=96, height=64)
    ours = np.asarray(next(pipeline.generate(request, noise=noise)).image).astype(int)
    theirs = reference(
        "a cat",
        negative_prompt="dog",
        num_inference_steps=4,
        guidance_scale=7.0,
        latents=diffusers_start(noise, pipeline._schedule),
        width=96,
        height=64,
    ).images[0]
    assert ours.std() > 5
    assert np.abs(ours - np.asarray(theirs)).max() <= 1


def test_an_empty_negative_prompt_of_sdxl_is_all_zeros(sdxl):
    from lib_hps.diffusion.conditioning import encode

    towers = load_pipeline(sdxl.path, "cpu")._towers
    empty = encode(towers, "", is_negative=True)
    assert not empty.context.any()
    assert not empty.pooled.any()
    assert encode(towers, "").context.any()
