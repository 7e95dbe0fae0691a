"""State dicts of CLIP in the layouts in which they are published, renamed to open_clip's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from lib_hps.errors import WeightsError

if TYPE_CHECKING:
    import torch

# Numbers that OpenAI's archives carry beside the weights, and buffers that old versions saved.
_NOT_WEIGHTS = re.compile(
    r"(input_resolution|context_length|vocab_size|(visual\.|text\.)?attn_mask|.*\.position_ids|.*\.embeddings\.position_ids)$"
)
_TEXT_TOWER = re.compile(r"text\.(?=token_embedding\.|positional_embedding$|transformer\.|ln_final\.|text_projection)")

# transformers' CLIPModel -> open_clip
_TOWERS = {"vision_model.encoder.layers.": "visual.transformer.", "text_model.encoder.layers.": "transformer."}
_BLOCK = re.compile(r"((?:vision|text)_model\.encoder\.layers\.)(\d+)\.(\w+)\.(.+)$")
_PARTS = {
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "self_attn.out_proj": "attn.out_proj",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
}
_OUTSIDE_BLOCKS = {
    "vision_model.embeddings.class_embedding": "visual.class_embedding",
    "vision_model.embeddings.patch_embedding.weight": "visual.conv1.weight",
    "vision_model.embeddings.position_embedding.weight": "visual.positional_embedding",
    "vision_model.pre_layrnorm.weight": "visual.ln_pre.weight",  # the misspelling is transformers'
    "vision_model.pre_layrnorm.bias": "visual.ln_pre.bias",
    "vision_model.post_layernorm.weight": "visual.ln_post.weight",
    "vision_model.post_layernorm.bias": "visual.ln_post.bias",
    "text_model.embeddings.token_embedding.weight": "token_embedding.weight",
    "text_model.embeddings.position_embedding.weight": "positional_embedding",
    "text_model.final_layer_norm.weight": "ln_final.weight",
    "text_model.final_layer_norm.bias": "ln_final.bias",
    "logit_scale": "logit_scale",
}
_TRANSPOSED = {"visual_projection.weight": "visual.proj", "text_projection.weight": "text_projection"}


def _from_transformers(state_dict: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """CLIPModel -> open_clip: q, k and v become one `in_proj`, the two projections are transposed."""
    import torch

    converted: dict[str, torch.Tensor] = {}
    for name, tensor in state_dict.items():
        block = _BLOCK.match(name)
        if name in _OUTSIDE_BLOCKS:
            converted[_OUTSIDE_BLOCKS[name]] = tensor
        elif name in _TRANSPOSED:
            converted[_TRANSPOSED[name]] = tensor.t().contiguous()
        elif block is None:
            converted[name] = tensor  # unknown: the caller names it as unexpected
        else:
            tower, number, module, rest = block.groups()
            prefix = f"{_TOWERS[tower]}resblocks.{number}."
            part, _, kind = f"{module}.{rest}".rpartition(".")
            if part in ("self_attn.k_proj", "self_attn.v_proj"):
                continue  # joined with q
            if part == "self_attn.q_proj":
                names = [name.replace(".q_proj.", f".{letter}_proj.") for letter in "qkv"]
                missing = [each for each in names if each not in state_dict]
                if missing:
                    raise WeightsError(f"The transformers CLIP weights lack {missing[0]!r}: the file is incomplete.")
                converted[f"{prefix}attn.in_proj_{kind}"] = torch.cat([state_dict[each] for each in names])
            else:
                converted[f"{prefix}{_PARTS.get(part, part)}.{kind}"] = tensor
    return converted


def to_open_clip_layout(state_dict: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A new dict with open_clip's names; tensors that need no change are shared, not copied.

    Accepts open_clip's layout, its custom-text models (text tower under `text.`), OpenAI's (the same names with three
    numbers beside them) and transformers' CLIPModel (PickScore). A name that none of them has is kept, so that
    loading names it.

    Raises:
        WeightsError: a transformers layout with part of an attention layer missing.
    """
    kept = {name: tensor for name, tensor in state_dict.items() if not _NOT_WEIGHTS.match(name)}
    if any(name.startswith(("vision_model.", "text_model.")) for name in kept):
        kept = _from_transformers(kept)
    renamed = {_TEXT_TOWER.sub("", name, count=1) if name.startswith("text.") else name: t for name, t in kept.items()}
    if "text_projection.weight" in renamed and "text_projection" not in renamed:  # open_clip's as a linear layer
        renamed["text_projection"] = renamed.pop("text_projection.weight").t().contiguous()
    scale = renamed.get("logit_scale")
    if scale is not None and scale.ndim == 1 and scale.numel() == 1:  # open_clip's nonscalar_logit_scale
        renamed["logit_scale"] = scale.reshape(())
    return renamed
