"""LoRA names: kohya's own for SD1 and SDXL, and back again to the same module."""

import pytest

from lib_hps.diffusion.lora_names import LoraNames, dotted
from lib_hps.errors import InputError

SD1, SDXL = LoraNames.standard(is_sdxl=False), LoraNames.standard(is_sdxl=True)
SMALL = LoraNames(per_level=1, up_attention=(True, True))  # tiny-sd
# (names, part, path, as kohya's trainer and the WebUI write it)
KNOWN = [
    (SD1, "unet", "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_out.0",
     "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_out_0"),
    (SD1, "unet", "up_blocks.3.resnets.2.conv_shortcut", "lora_unet_up_blocks_3_resnets_2_conv_shortcut"),
    (SD1, "text_encoder", "text_model.encoder.layers.11.self_attn.q_proj",
     "lora_te_text_model_encoder_layers_11_self_attn_q_proj"),
    (SDXL, "unet", "down_blocks.1.attentions.0.transformer_blocks.1.ff.net.0.proj",
     "lora_unet_input_blocks_4_1_transformer_blocks_1_ff_net_0_proj"),
    (SDXL, "unet", "mid_block.attentions.0.proj_in", "lora_unet_middle_block_1_proj_in"),
    (SDXL, "unet", "mid_block.resnets.1.conv2", "lora_unet_middle_block_2_out_layers_3"),
    (SDXL, "unet", "up_blocks.0.upsamplers.0.conv", "lora_unet_output_blocks_2_2_conv"),
    (SDXL, "unet", "down_blocks.0.downsamplers.0.conv", "lora_unet_input_blocks_3_0_op"),
    (SDXL, "unet", "add_embedding.linear_2", "lora_unet_label_emb_0_2"),
    (SDXL, "unet", "conv_out", "lora_unet_out_2"),
    (SDXL, "text_encoder", "text_model.encoder.layers.0.mlp.fc1", "lora_te1_text_model_encoder_layers_0_mlp_fc1"),
    (SDXL, "text_encoder_2", "text_model.encoder.layers.31.self_attn.out_proj",
     "lora_te2_text_model_encoder_layers_31_self_attn_out_proj"),
    (SMALL, "unet", "down_blocks.1.attentions.0.proj_in", "lora_unet_input_blocks_3_1_proj_in"),
    (SMALL, "unet", "up_blocks.1.resnets.1.time_emb_proj", "lora_unet_output_blocks_3_0_emb_layers_1"),
    (LoraNames(per_level=1, up_attention=(False, True)), "unet", "up_blocks.0.upsamplers.0.conv",
     "lora_unet_output_blocks_1_1_conv"),
]  # fmt: skip


@pytest.mark.parametrize(("names", "part", "path", "written"), KNOWN)
def test_names_are_kohyas_and_lead_back(names, part, path, written):
    assert names.write(part, path) == written
    assert names.read(written) == (part, path)


def test_the_path_of_transformers_5_has_no_prefix_the_name_does():
    assert SD1.write("text_encoder", "encoder.layers.0.mlp.fc2") == "lora_te_text_model_encoder_layers_0_mlp_fc2"


def test_diffusers_names_are_read_where_ldm_names_are_written():
    assert SDXL.read("lora_unet_down_blocks_1_attentions_0_proj_in") == ("unet", "down_blocks.1.attentions.0.proj_in")


@pytest.mark.parametrize("name", ["unet.conv_in", "lora_te1_x", "lora_unet_Down", "lora_unet_input_blocks_x"])
def test_a_name_that_is_none_is_refused_by_name(name):
    with pytest.raises(InputError, match=name.removeprefix("lora_unet_").split("_")[0]):
        SD1.read(name)


@pytest.mark.parametrize("path", ["up_blocks.0.resnets.0.norm1", "somewhere.1", "down_blocks.x.resnets.0.conv1"])
def test_a_module_without_a_name_is_refused(path):
    with pytest.raises(InputError, match="no module"):
        SDXL.write("unet", path)


def test_every_layer_of_the_real_architectures_has_a_name_of_its_own():
    torch = pytest.importorskip("torch")
    diffusers = pytest.importorskip("diffusers")
    sd1 = {"block_out_channels": (32, 64, 64, 64), "cross_attention_dim": 32, "norm_num_groups": 8}
    sdxl = {
        "block_out_channels": (32, 64, 64),
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        "transformer_layers_per_block": [1, 2, 10],
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 32,
        "projection_class_embeddings_input_dim": 256,
        "use_linear_projection": True,
        "norm_num_groups": 8,
    }
    for config, standard in ((sd1, SD1), (sdxl, SDXL)):
        with torch.device("meta"):
            unet = diffusers.UNet2DConditionModel(**config)
        assert LoraNames.of(unet, is_sdxl=standard.is_sdxl) == standard
        kinds = (torch.nn.Linear, torch.nn.Conv2d)
        paths = [path for path, module in unet.named_modules() if isinstance(module, kinds)]
        written = [standard.write("unet", path) for path in paths]
        assert len(set(written)) == len(paths)
        assert [standard.read(name) for name in written] == [("unet", path) for path in paths]
        assert all(dotted(path.replace(".", "_")) == path for path in paths)
