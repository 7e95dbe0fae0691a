"""Files with every kind of layer in kohya's own loader, on kohya's own models of the real sizes: no key is left over.

Runs where SD_SCRIPTS_ROOT (else ~/sd-scripts) is a checkout of sd-scripts, in SD_SCRIPTS_PYTHON (else its venv).
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file

pytest.importorskip("diffusers")
pytest.importorskip("peft")

from lib_hps.diffusion.architectures import CLIP_BIG_G, CLIP_H, CLIP_L
from lib_hps.diffusion.lora_names import LoraNames
from lib_hps.training.lora.adapter import Adapter
from lib_hps.training.lora.config import TARGETS
from lib_hps.training.lora.output import kohya_tensors

KOHYA = Path(os.environ.get("SD_SCRIPTS_ROOT") or Path.home() / "sd-scripts")
PYTHON = Path(os.environ.get("SD_SCRIPTS_PYTHON") or KOHYA / "venv" / "bin" / "python")
SD = {
    "block_out_channels": (320, 640, 1280, 1280),
    "sample_size": 64,
}
UNETS = {
    "sd1": {**SD, "cross_attention_dim": 768, "attention_head_dim": 8},
    "sd2": {
        **SD,
        "cross_attention_dim": 1024,
        "attention_head_dim": [5, 10, 20, 20],
        "use_linear_projection": True,
    },
    "sdxl": {
        "block_out_channels": (320, 640, 1280),
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        "transformer_layers_per_block": [1, 2, 10],
        "attention_head_dim": [5, 10, 20],
        "cross_attention_dim": 2048,
        "use_linear_projection": True,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": 2816,
    },
}
TOWERS = {"sd1": [CLIP_L], "sd2": [CLIP_H], "sdxl": [CLIP_L, CLIP_BIG_G]}
LOADER = """
import json, sys
import torch
from transformers import CLIPTextConfig, CLIPTextModel
from networks.lora import create_network_from_weights

family, file, configs = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
with torch.device("meta"):
    towers = [CLIPTextModel(CLIPTextConfig(**config)) for config in configs]
    if family == "sdxl":
        from library.sdxl_original_unet import SdxlUNet2DConditionModel
        unet = SdxlUNet2DConditionModel()
    else:
        from library import model_util
        from library.original_unet import UNet2DConditionModel
        unet = UNet2DConditionModel(**model_util.create_unet_diffusers_config(family == "sd2", family == "sd2"))
network, weights = create_network_from_weights(1.0, file, None, towers if len(towers) > 1 else towers[0], unet)
before = set(weights)
network.apply_to(towers if len(towers) > 1 else towers[0], unet)
info = network.load_state_dict(weights, strict=False)
loras = network.unet_loras + network.text_encoder_loras
scales = sorted({float(lora.scale) for lora in loras})
print(json.dumps([len(loras), info.missing_keys, info.unexpected_keys, scales]))
"""


@pytest.mark.skipif(
    not ((KOHYA / "networks" / "lora.py").is_file() and PYTHON.is_file()),
    reason="sd-scripts is not there: set SD_SCRIPTS_ROOT and SD_SCRIPTS_PYTHON",
)
@pytest.mark.parametrize("family", list(UNETS))
def test_kohyas_loader_has_a_module_for_every_key_and_a_key_for_every_module(family, tmp_path):
    import diffusers
    from transformers import CLIPTextConfig, CLIPTextModel

    configs = [{**config, "num_hidden_layers": config["num_hidden_layers"] - (family == "sd2")}
               for config in TOWERS[family]]  # fmt: skip
    with torch.device("meta"):  # shapes alone: the real sizes cost nothing
        unet = diffusers.UNet2DConditionModel(**UNETS[family])
        towers = [SimpleNamespace(model=CLIPTextModel(CLIPTextConfig(**config))) for config in configs]
    base = SimpleNamespace(unet=unet, towers=towers, path=Path("base"))
    adapter = Adapter(base, rank=2, alpha=1, targets=TARGETS, has_text=True, seed=0)
    for layer in adapter._layers.values():
        for half in (layer.lora_A, layer.lora_B):
            half.to_empty(device="cpu")
    for parameter in adapter.parameters():
        torch.nn.init.ones_(parameter)
    pairs = adapter.pairs()
    file = tmp_path / "all.safetensors"
    save_file(kohya_tensors(pairs, LoraNames.of(unet, is_sdxl=family == "sdxl")), file)
    variables = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [str(PYTHON), "-c", LOADER, family, str(file), json.dumps(configs)],
        cwd=KOHYA, env={**variables, "HF_HUB_OFFLINE": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    count, missing, unexpected, scales = json.loads(done.stdout.strip().splitlines()[-1])
    assert (count, missing, unexpected) == (len(pairs), [], [])
    assert scales == [0.5]
