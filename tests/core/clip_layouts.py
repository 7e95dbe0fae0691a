"""One small CLIP and its weights in every layout that was ever published."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
safetensors = pytest.importorskip("safetensors.torch")

from lib_hps.scoring.clip.config import ClipConfig, TextConfig, VisionConfig  # noqa: E402

TEXT = TextConfig(vocab_size=520, context_length=16, width=64, layers=2, heads=1, mlp_width=128)
VISION = VisionConfig(image_size=16, width=64, layers=2, heads=1, patch_size=8, mlp_width=128)
CONFIG = ClipConfig(embed_dim=32, vision=VISION, text=TEXT)
WIDE = ClipConfig(
    embed_dim=32,
    vision=VisionConfig(image_size=16, width=96, layers=2, heads=3, patch_size=8, mlp_width=128),
    text=TEXT,
    quick_gelu=True,
)


def transformers_layout(state):
    """Ours -> transformers' CLIPModel, written here by hand as the inverse of what is tested."""
    parts = {"ln_1": "layer_norm1", "ln_2": "layer_norm2", "mlp.c_fc": "mlp.fc1", "mlp.c_proj": "mlp.fc2"}
    parts["attn.out_proj"] = "self_attn.out_proj"
    outside = {
        "visual.class_embedding": "vision_model.embeddings.class_embedding",
        "visual.conv1.weight": "vision_model.embeddings.patch_embedding.weight",
        "visual.positional_embedding": "vision_model.embeddings.position_embedding.weight",
        "visual.ln_pre": "vision_model.pre_layrnorm",
        "visual.ln_post": "vision_model.post_layernorm",
        "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
        "ln_final": "text_model.final_layer_norm",
    }
    theirs = {"text_model.embeddings.position_ids": torch.arange(16)[None]}
    for name, tensor in state.items():
        tower = "vision_model" if name.startswith("visual.") else "text_model"
        if name == "logit_scale":
            theirs[name] = tensor
        elif name in ("visual.proj", "text_projection"):
            theirs["visual_projection.weight" if tower == "vision_model" else "text_projection.weight"] = tensor.t()
        elif name == "positional_embedding":
            theirs["text_model.embeddings.position_embedding.weight"] = tensor
        elif "resblocks" in name:
            number, rest = name.split("resblocks.")[1].split(".", 1)
            prefix = f"{tower}.encoder.layers.{number}."
            if "in_proj" in rest:
                for letter, part in zip("qkv", tensor.chunk(3), strict=True):
                    theirs[f"{prefix}self_attn.{letter}_proj.{rest.rpartition('_')[2]}"] = part
            else:
                part, _, kind = rest.rpartition(".")
                theirs[f"{prefix}{parts[part]}.{kind}"] = tensor
        else:
            key = next(key for key in outside if name.startswith(key))
            theirs[outside[key] + name[len(key) :]] = tensor
    return {name: tensor.contiguous() for name, tensor in theirs.items()}


def text_apart(state):
    own = ("visual.", "logit_scale")
    return {name if name.startswith(own) else f"text.{name}": tensor for name, tensor in state.items()}


def openai_layout(state):
    numbers = {
        "input_resolution": torch.tensor(16),
        "context_length": torch.tensor(16),
        "vocab_size": torch.tensor(520),
    }
    return state | numbers


LAYOUTS = {
    "open_clip": lambda state: state,
    "text_apart": text_apart,
    "openai": openai_layout,
    "transformers": transformers_layout,
    "data_parallel": lambda state: {f"module.{name}": tensor for name, tensor in state.items()},
    "scale_as_a_vector": lambda state: state | {"logit_scale": state["logit_scale"].reshape(1)},
}
