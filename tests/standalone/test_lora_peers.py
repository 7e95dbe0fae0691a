"""Files with every kind of layer in diffusers' own loader: no key is left over, and it predicts what we predict."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

pytest.importorskip("peft")

from random_models import diffusers_pipeline, distance_from_diffusers, write_lora

from lib_hps.diffusion.bundled import require_tiny_checkpoint
from lib_hps.diffusion.lora_file import read_lora
from lib_hps.diffusion.lora_names import LoraNames
from lib_hps.diffusion.pipeline import load_pipeline
from lib_hps.training.lora.adapter import Adapter
from lib_hps.training.lora.base import load_base
from lib_hps.training.lora.config import TARGETS
from lib_hps.training.lora.output import kohya_tensors
from tools.tiny_models.random_bases import write_sd2, write_sdxl

BASES = {"sd2": write_sd2, "sdxl": write_sdxl}


@pytest.mark.parametrize("family", list(BASES))
def test_diffusers_puts_every_pair_on_and_predicts_what_we_predict(family, tmp_path):
    """`load_lora_weights` on a pipeline of diffusers over the same weights; alpha is not the rank here."""
    import diffusers

    from lib_hps.diffusion.lora import LoraModel, LoraUse

    path = BASES[family](tmp_path).path
    adapted, base = load_base(path, device="cpu"), load_base(path, device="cpu")
    adapter = Adapter(adapted, rank=3, alpha=6, targets=TARGETS, has_text=True, seed=0)
    generator = torch.Generator().manual_seed(0)
    for parameter in adapter.parameters():
        parameter.data = 0.05 * torch.randn(parameter.shape, generator=generator)
    names = LoraNames.of(base.unet, is_sdxl=family == "sdxl")
    file = tmp_path / "all.safetensors"
    save_file(kohya_tensors(adapter.pairs(), names), file)
    parts = {"vae": base.vae, "unet": base.unet, "text_encoder": base.towers[0].model}
    parts |= {"tokenizer": base.towers[0].tokenizer._backend, "scheduler": diffusers.EulerDiscreteScheduler()}
    if family == "sdxl":
        parts |= {"text_encoder_2": base.towers[1].model, "tokenizer_2": base.towers[1].tokenizer._backend}
        pipeline = diffusers.StableDiffusionXLPipeline(**parts, add_watermarker=False)
    else:
        rest = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
        pipeline = diffusers.StableDiffusionPipeline(**parts, **rest)
    x, t = torch.randn(1, 4, 8, 8, generator=generator), torch.tensor([500])
    width = base.unet.config.cross_attention_dim
    more = {"encoder_hidden_states": torch.randn(1, 77, width, generator=generator)}
    if family == "sdxl":
        pooled = base.towers[1].model.config.projection_dim
        more["added_cond_kwargs"] = {"text_embeds": torch.randn(1, pooled), "time_ids": torch.ones(1, 6)}
    tokens = torch.tensor([[3, 5, 7, 500]])

    def predicted(unet, towers):
        with torch.no_grad():
            said = [tower.model(input_ids=tokens).last_hidden_state for tower in towers]
            return [unet(x, t, **more, return_dict=False)[0], *said]

    plain = predicted(base.unet, base.towers)
    with LoraModel(base.unet, [tower.model for tower in base.towers]).applied([LoraUse(file)]):
        ours = predicted(base.unet, base.towers)
    pipeline.load_lora_weights(str(file))
    models = [pipeline.unet, *(tower.model for tower in base.towers)]
    put_on = [name for model in models for name, _ in model.named_modules() if name.endswith("lora_A")]
    assert len(put_on) == len(read_lora(file).pairs)
    for before, mine, theirs in zip(plain, ours, predicted(base.unet, base.towers), strict=True):
        assert float((mine - before).abs().mean()) > 1e-3
        np.testing.assert_allclose(mine.numpy(), theirs.numpy(), atol=1e-3)


def test_diffusers_draws_the_same_picture_with_a_file_of_tiny_sds_depth(tmp_path):
    """LDM's names of a UNet of another depth than SD's: diffusers must be told `unet_config`."""
    checkpoint = require_tiny_checkpoint()
    ours, theirs = (load_pipeline(checkpoint, "cpu", lora_dir=tmp_path) for _ in range(2))
    file = write_lora(tmp_path / "taste.safetensors", ours, alpha=2)
    reference = diffusers_pipeline(theirs)
    apart = {"nothing": distance_from_diffusers(ours, reference, width=64, height=64)}
    with pytest.raises(ValueError, match="not found in the base model"):
        reference.load_lora_weights(str(file))
    reference.unload_lora_weights()
    reference.load_lora_weights(str(file), unet_config=reference.unet.config)
    put_on = [name for model in (reference.unet, reference.text_encoder) for name, _ in model.named_modules()]
    assert sum(name.endswith("lora_A") for name in put_on) == len(read_lora(file).pairs)
    apart["LoRA"] = distance_from_diffusers(ours, reference, width=64, height=64, lora="<lora:taste:1>")
    assert max(apart.values()) <= 2
    assert distance_from_diffusers(ours, reference, width=64, height=64) > 8  # without the tag ours draws the base
