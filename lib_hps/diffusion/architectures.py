"""Shapes of the standard models in LDM's own configuration layout, so that nothing has to come from the network."""

from __future__ import annotations

from typing import Any

Config = dict[str, Any]

_FIRST_STAGE: Config = {
    "params": {
        "embed_dim": 4,
        "ddconfig": {
            "double_z": True,
            "z_channels": 4,
            "resolution": 256,
            "in_channels": 3,
            "out_ch": 3,
            "ch": 128,
            "ch_mult": [1, 2, 4, 4],
            "num_res_blocks": 2,
            "attn_resolutions": [],
            "dropout": 0.0,
        },
    }
}
_UNET: Config = {
    "in_channels": 4,
    "out_channels": 4,
    "model_channels": 320,
    "num_res_blocks": 2,
    "use_spatial_transformer": True,
}
_SCHEDULE: Config = {"linear_start": 0.00085, "linear_end": 0.0120, "timesteps": 1000}
# what SD1 and SD2 have in common
_SD: Config = {**_SCHEDULE, "image_size": 64, "scale_factor": 0.18215, "first_stage_config": _FIRST_STAGE}
_SD_UNET: Config = {
    **_UNET,
    "attention_resolutions": [4, 2, 1],
    "channel_mult": [1, 2, 4, 4],
    "transformer_depth": 1,
}

SD1: Config = {
    "model": {
        "params": {
            **_SD,
            "unet_config": {
                "params": {
                    **_SD_UNET,
                    "num_heads": 8,
                    "context_dim": 768,
                }
            },
            "cond_stage_config": {"params": {"version": "openai/clip-vit-large-patch14"}},
        }
    }
}

SD2: Config = {
    "model": {
        "params": {
            **_SD,
            "unet_config": {
                "params": {
                    **_SD_UNET,
                    "num_head_channels": 64,
                    "use_linear_in_transformer": True,
                    "context_dim": 1024,
                }
            },
            "cond_stage_config": {"params": {"layer": "penultimate"}},
        }
    }
}
SD2_V_SIDE = 96  # latent side of the files that predict v (768 px)

SDXL: Config = {
    "model": {
        "params": {
            **_SCHEDULE,
            "image_size": 128,
            "scale_factor": 0.13025,
            "network_config": {
                "params": {
                    **_UNET,
                    "attention_resolutions": [4, 2],
                    "channel_mult": [1, 2, 4],
                    "num_head_channels": 64,
                    "use_linear_in_transformer": True,
                    "transformer_depth": [1, 2, 10],
                    "context_dim": 2048,
                    "adm_in_channels": 2816,
                    "num_classes": "sequential",
                }
            },
            "first_stage_config": _FIRST_STAGE,
            "conditioner_config": {"params": {"emb_models": [{"params": {}}, {"params": {}}]}},
        }
    }
}

_CLIP: Config = {
    "vocab_size": 49408,
    "max_position_embeddings": 77,
    "bos_token_id": 49406,
    "eos_token_id": 49407,
    "layer_norm_eps": 1e-5,
}
CLIP_L: Config = {
    **_CLIP,
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "hidden_act": "quick_gelu",
    "projection_dim": 768,
    "pad_token_id": 49407,
}
CLIP_H: Config = {
    **_CLIP,
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "hidden_act": "gelu",
    "projection_dim": 1024,
    "pad_token_id": 0,
}
CLIP_BIG_G: Config = {
    **_CLIP,
    "hidden_size": 1280,
    "intermediate_size": 5120,
    "num_hidden_layers": 32,
    "num_attention_heads": 20,
    "hidden_act": "gelu",
    "projection_dim": 1280,
    "pad_token_id": 0,
}

# how latents look without a VAE: rows are latent channels, columns R, G, B in -1..1 ("Approx cheap")
_SD_RGB = [[0.298, 0.207, 0.208], [0.187, 0.286, 0.173], [-0.158, 0.189, 0.264], [-0.184, -0.271, -0.473]]
LATENT_RGB: dict[str, list[list[float]]] = {
    "sd1": _SD_RGB,
    "sd2": _SD_RGB,
    "sdxl": [
        [0.3448, 0.4168, 0.4395],
        [-0.1953, -0.0290, 0.0250],
        [0.1074, 0.0886, -0.0163],
        [-0.3730, -0.2499, -0.2088],
    ],
}
