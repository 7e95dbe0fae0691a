"""Tiny random weights in the real file formats: what each scorer would find in its weights folder."""

from __future__ import annotations

from pathlib import Path

import torch

from lib_hps.scoring.classifier_file import ScorerCard, write_classifier
from lib_hps.scoring.clip.config import ClipConfig, TextConfig, VisionConfig
from lib_hps.scoring.clip.model import build

SIZE_PX = 28
EMBED_DIM = 32


def tiny_config(*, quick_gelu: bool) -> ClipConfig:
    return ClipConfig(
        embed_dim=EMBED_DIM,
        vision=VisionConfig(image_size=SIZE_PX, width=64, layers=2, heads=1, patch_size=14, mlp_width=128),
        text=TextConfig(vocab_size=49408, context_length=77, width=64, layers=2, heads=1, mlp_width=128),
        quick_gelu=quick_gelu,
    )


def tiny_state_dict(seed: int, *, quick_gelu: bool) -> dict[str, torch.Tensor]:
    return dict(build(tiny_config(quick_gelu=quick_gelu), seed=seed).state_dict())


def write_hps(path: Path, seed: int, *, quick_gelu: bool) -> Path:
    """As the HPS releases: a pickle with the key `state_dict`, half precision."""
    state = {name: tensor.half() for name, tensor in tiny_state_dict(seed, quick_gelu=quick_gelu).items()}
    torch.save({"epoch": 1, "state_dict": state}, path)
    return path


def write_pickscore(path: Path, seed: int) -> Path:
    """As PickScore_v1: a transformers CLIPModel."""
    from safetensors.torch import save_file

    model = transformers_clip(seed)
    save_file({k: v.contiguous() for k, v in model.state_dict().items() if "position_ids" not in k}, path)
    return path


def transformers_clip(seed: int):
    from transformers import CLIPConfig, CLIPModel

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        config = CLIPConfig(
            text_config={
                "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 1,
                "vocab_size": 49408, "hidden_act": "gelu", "projection_dim": EMBED_DIM, "eos_token_id": 49407,
            },
            vision_config={
                "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 1,
                "image_size": SIZE_PX, "patch_size": 14, "hidden_act": "gelu", "projection_dim": EMBED_DIM,
            },
            projection_dim=EMBED_DIM,
        )  # fmt: skip
        return CLIPModel(config).eval()


def write_open_clip(path: Path, seed: int, *, quick_gelu: bool) -> Path:
    from safetensors.torch import save_file

    save_file({k: v.contiguous() for k, v in tiny_state_dict(seed, quick_gelu=quick_gelu).items()}, path)
    return path


def write_mlp_head(path: Path, seed: int, features: int = EMBED_DIM) -> Path:
    """As improved-aesthetic-predictor's sac+logos+ava1-l14-linearMSE.pth."""
    generator = torch.Generator().manual_seed(seed)
    sizes = {0: (features, 1024), 2: (1024, 128), 4: (128, 64), 6: (64, 16), 7: (16, 1)}
    state = {}
    for number, (inputs, outputs) in sizes.items():
        state[f"layers.{number}.weight"] = torch.randn(outputs, inputs, generator=generator) * inputs**-0.5
        state[f"layers.{number}.bias"] = torch.randn(outputs, generator=generator) * 0.1
    torch.save(state, path)
    return path


def write_trained(path: Path, seed: int, name: str) -> Path:
    config = tiny_config(quick_gelu=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    state = tiny_state_dict(seed, quick_gelu=True)
    return write_classifier(path, state, config=config, card=ScorerCard(name=name, version="7", extra={"steps": 3}))


def write_all(folder: Path) -> dict[str, str]:
    """Write every scorer's files into `folder`; returns {test id: the name for `load_scorer`}."""
    write_hps(folder / "hpc.pt", 1, quick_gelu=True)
    write_hps(folder / "HPS_v2_compressed.pt", 2, quick_gelu=False)
    write_hps(folder / "HPS_v2.1_compressed.pt", 3, quick_gelu=False)
    write_pickscore(folder / "PickScore_v1.safetensors", 4)
    write_open_clip(folder / "ViT-L-14-openai.safetensors", 5, quick_gelu=True)
    write_mlp_head(folder / "sac+logos+ava1-l14-linearMSE.pth", 6)
    for seed, name in enumerate(("tiny-hps", "tiny-holdout"), start=7):
        write_trained(folder / "bundled" / name / "model.safetensors", seed, name)
    trained = write_trained(folder / "my-taste.safetensors", 9, "my-taste")
    names = ["hps-v1", "hps-v2.0", "hps-v2.1", "pickscore", "clip:ViT-L-14/openai", "aesthetic", "tiny-hps"]
    names += ["tiny-holdout", "ensemble:hps-v2.1=1,pickscore=0.5,aesthetic=-0.1"]
    return {**{name: name for name in names}, "a trained classifier": str(trained)}
