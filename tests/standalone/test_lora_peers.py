"""Files with every kind of layer in diffusers' own loader: no key is left over, and it predicts what we predict."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

pytest.importorskip("peft")

from lib_hps.diffusion.lora_file import read_lora
from lib_hps.diffusion.lora_names import LoraNames
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
