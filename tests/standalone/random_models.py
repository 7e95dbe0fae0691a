"""Constants and writers of random models that the tests of this folder share."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]
MERGES = [("c", "a"), ("ca", "t</w>"), ("d", "o"), ("do", "g</w>"), ("h", "e"), ("he", "a")]


def diffusers_start(noise, schedule, scheduler):
    """Noise for diffusers' pipelines, which scale it by what their scheduler says, where the WebUI scales by sigma."""
    return noise * float(schedule.sigmas[-1] / scheduler.init_noise_sigma)


def diffusers_pipeline(pipeline):
    """diffusers' own pipeline over the modules of an SD1 `pipeline`."""
    from diffusers import EulerDiscreteScheduler, StableDiffusionPipeline

    tower = pipeline._towers[0]
    scheduler = EulerDiscreteScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", timestep_spacing="linspace"
    )
    return StableDiffusionPipeline(
        vae=pipeline._decoder._vae,
        unet=pipeline._unet,
        text_encoder=tower.model,
        tokenizer=tower.tokenizer._backend,
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def distance_from_diffusers(pipeline, reference, *, width: int, height: int, lora: str = "") -> int:
    """Largest difference, of 255, of one picture from the same noise by `pipeline` and by diffusers' `reference`.

    `lora` is the tag that makes `pipeline` use what `reference` has loaded already.
    """
    import numpy as np
    import torch

    from lib_hps.diffusion.request import GenerationRequest

    reference.set_progress_bar_config(disable=True)
    noise = torch.randn((1, 4, height // 8, width // 8), generator=torch.Generator().manual_seed(3))
    request = GenerationRequest(f"a cat{lora}", negative="dog", steps=4, sampler="Euler", width=width, height=height)
    ours = np.asarray(next(pipeline.generate(request, noise=noise)).image).astype(int)
    theirs = reference(
        "a cat",
        negative_prompt="dog",
        num_inference_steps=4,
        guidance_scale=7.0,
        latents=diffusers_start(noise, pipeline._schedule, reference.scheduler),
        width=width,
        height=height,
    ).images[0]
    assert ours.std() > 5  # it is a picture, not a flat field
    return int(np.abs(ours - np.asarray(theirs)).max())


def write_scorer(path: Path) -> str:
    """A random classifier in the trained format; its file is a scorer's name."""
    from lib_hps.scoring.classifier_file import ScorerCard, write_classifier
    from lib_hps.scoring.clip.config import ClipConfig, TextConfig, VisionConfig
    from lib_hps.scoring.clip.model import build

    config = ClipConfig(
        embed_dim=16,
        vision=VisionConfig(image_size=28, width=32, layers=1, heads=1, patch_size=14, mlp_width=64),
        text=TextConfig(vocab_size=49408, context_length=77, width=32, layers=1, heads=1, mlp_width=64),
        quick_gelu=True,
    )
    return str(
        write_classifier(path, dict(build(config, seed=1).state_dict()), config=config, card=ScorerCard(name="taste"))
    )


def write_lora(
    path: Path, pipeline, *, rank: int = 4, seed: int = 0, alpha: float | None = None, has_text=True
) -> Path:
    """A random LoRA of every attention layer (and of the text encoders) in kohya's layout and names."""
    import torch
    from safetensors.torch import save_file

    from lib_hps.diffusion.lora_file import LoraPair, tensors_of

    generator = torch.Generator().manual_seed(seed)
    pairs = {}
    parts = [("unet", pipeline._unet)]
    if has_text:
        towers = pipeline._guide._towers
        parts += [(part, one.model) for part, one in zip(("text_encoder", "text_encoder_2"), towers, strict=False)]
    for part, model in parts:
        for name, module in model.named_modules():
            if not isinstance(module, torch.nn.Linear) or "attn" not in name:
                continue
            out, inside = module.weight.shape
            down = torch.randn(rank, inside, generator=generator) / inside**0.5
            up = torch.randn(out, rank, generator=generator) * float(module.weight.std())
            pairs[pipeline.loras.names.write(part, name)] = LoraPair(down, up, rank if alpha is None else alpha)
    save_file(tensors_of(pairs), path, metadata={"ss_output_name": path.stem, "ss_network_module": "networks.lora"})
    return path
