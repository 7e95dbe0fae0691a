"""LoRA layouts: round trips, the published layout complete or refused, and what diffusers itself reads."""

import pytest
import torch
from safetensors.torch import load_file, save_file

from lib_hps.cli import main
from lib_hps.diffusion.lora_file import read_lora

BLOCKS = [f"down_blocks.{b}.attentions.{i}" for b in range(3) for i in range(2)]
BLOCKS += ["mid_block.attentions.0", *(f"up_blocks.{b}.attentions.{i}" for b in (1, 2, 3) for i in range(3))]


@pytest.fixture
def published(tmp_path):
    """The published layout: 16 blocks, two attentions, four projections, down and up: 256 tensors."""
    generator = torch.Generator().manual_seed(0)
    found = {}
    for block in BLOCKS:
        for n in (1, 2):
            for kind in ("q", "k", "v", "out"):
                stem = f"{block}.transformer_blocks.0.attn{n}.processor.to_{kind}_lora"
                found[f"{stem}.down.weight"] = torch.randn(4, 8, generator=generator)
                found[f"{stem}.up.weight"] = torch.randn(8, 4, generator=generator)
    torch.save(found, tmp_path / "adapted_model.bin")
    return found


def test_the_published_layout_becomes_kohyas_with_alpha_equal_to_the_rank(published, tmp_path):
    assert len(published) == 256
    assert main(["convert", str(tmp_path / "adapted_model.bin"), str(tmp_path / "a.safetensors")]) == 0
    pairs = read_lora(tmp_path / "a.safetensors").pairs
    assert len(pairs) == 128
    pair = pairs["lora_unet_up_blocks_3_attentions_2_transformer_blocks_0_attn2_to_out_0"]
    stem = "up_blocks.3.attentions.2.transformer_blocks.0.attn2.processor.to_out_lora"
    assert pair.alpha == 4
    assert torch.equal(pair.down, published[f"{stem}.down.weight"])
    assert torch.equal(pair.up, published[f"{stem}.up.weight"])


@pytest.mark.parametrize("layout", ["diffusers", "peft"])
def test_a_round_trip_keeps_the_change_whatever_the_alpha(layout, tmp_path):
    name = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q"
    text = "lora_te_text_model_encoder_layers_0_self_attn_q_proj"
    start = {f"{one}.lora_down.weight": torch.randn(4, 8) for one in (name, text)}
    start |= {f"{one}.lora_up.weight": torch.randn(8, 4) for one in (name, text)}
    start |= {f"{one}.alpha": torch.tensor(2.0) for one in (name, text)}
    first, second, third = (tmp_path / f"{step}.safetensors" for step in range(3))
    save_file(start, first)
    assert main(["convert", str(first), str(second), "--to", layout]) == 0
    assert main(["convert", str(second), str(third)]) == 0
    before, after = read_lora(first).pairs, read_lora(third).pairs
    assert before.keys() == after.keys()
    for key in before:
        assert torch.allclose(before[key].delta((8, 8)), after[key].delta((8, 8)), atol=1e-6)


@pytest.mark.parametrize("layout", ["diffusers", "peft"])
def test_a_round_trip_of_sdxls_names_goes_by_diffusers_paths(layout, tmp_path):
    paths = {
        "lora_unet_input_blocks_4_1_transformer_blocks_1_attn2_to_k": "unet.down_blocks.1.attentions.0.",
        "lora_unet_output_blocks_2_1_transformer_blocks_9_attn1_to_v": "unet.up_blocks.0.attentions.2.",
        "lora_te1_text_model_encoder_layers_0_self_attn_q_proj": "text_encoder.text_model.encoder.layers.0.",
        "lora_te2_text_model_encoder_layers_31_self_attn_v_proj": "text_encoder_2.text_model.encoder.layers.31.",
    }
    start = {f"{name}.lora_down.weight": torch.randn(4, 8) for name in paths}
    start |= {f"{name}.lora_up.weight": torch.randn(8, 4) for name in paths}
    start |= {f"{name}.alpha": torch.tensor(2.0) for name in paths}
    first, second, third = (tmp_path / f"{step}.safetensors" for step in range(3))
    save_file(start, first)
    assert main(["convert", str(first), str(second), "--to", layout, "--sdxl"]) == 0
    between = load_file(second)
    assert all(sum(path in key for key in between) == 2 for path in paths.values())
    assert main(["convert", str(second), str(third), "--sdxl"]) == 0
    before, after = read_lora(first).pairs, read_lora(third).pairs
    assert before.keys() == after.keys()
    assert all(torch.allclose(before[key].delta((8, 8)), after[key].delta((8, 8)), atol=1e-6) for key in before)


def test_missing_and_unknown_keys_are_refused_by_name(published, tmp_path, capsys):
    key = next(iter(published))
    for label, change, words in [
        ("half", {k: v for k, v in published.items() if k != key}, "down_blocks.0.attentions.0"),
        ("more", published | {"something.else": torch.ones(1)}, "something.else"),
        ("few", dict(list(published.items())[:16]), "16 tensors"),
    ]:
        torch.save(change, tmp_path / f"{label}.bin")
        assert main(["convert", str(tmp_path / f"{label}.bin"), str(tmp_path / "x.safetensors")]) == 2
        assert words in capsys.readouterr().err
        assert not (tmp_path / "x.safetensors").exists()


def test_diffusers_own_reader_matches_every_key(published, tmp_path):
    from diffusers import StableDiffusionPipeline

    main(["convert", str(tmp_path / "adapted_model.bin"), str(tmp_path / "a.safetensors")])
    kohya = load_file(tmp_path / "a.safetensors")
    state, alphas = StableDiffusionPipeline.lora_state_dict(dict(kohya))
    assert len(state) == 256
    assert len(alphas) == 128
