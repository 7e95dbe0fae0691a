"""Training on a file of SDXL's architecture: two towers, the crop's time ids, LDM's names in the file."""

import json

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("peft")

from PIL import Image  # noqa: E402
from safetensors import safe_open  # noqa: E402
from test_sdxl import sdxl  # noqa: E402, F401 - the fixture

from lib_hps.training.lora.config import LoraSettings  # noqa: E402
from lib_hps.training.lora.run import Job, train_lora  # noqa: E402
from lib_hps.training.lora.text import Captions, embed  # noqa: E402


@pytest.mark.parametrize("objective", ["hps", "dpo"])
def test_an_sdxl_file_is_adapted_with_both_text_encoders(sdxl, tmp_path, objective):  # noqa: F811
    rows = []
    for i, kind in enumerate(("positive", "negative", "positive", "negative")):
        Image.effect_noise((80, 64), 90).convert("RGB").save(tmp_path / f"{i}.png")
        prompt = "a cat" if i < 2 else "a dog"
        rows.append({"file": f"{i}.png", "caption": prompt, "prompt": prompt, "kind": kind, "group": str(i // 2)})
    (tmp_path / "m.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings = LoraSettings(
        objective=objective, steps=3, batch=2, lr=1e-2, rank=2, crops=2, text_encoder=True, sample_every=0
    )
    job = Job(tmp_path / "m.jsonl", sdxl.path, tmp_path / "xl.safetensors", tmp_path / "run", device="cpu")
    done = train_lora(job, settings, say=print)
    assert done.distance > 0
    with safe_open(done.path, "pt") as opened:
        names = {key.split(".")[0] for key in opened.keys()}  # noqa: SIM118
        assert opened.metadata()["ss_base_model_version"] == "sdxl_base_v1-0"
    assert {name.split("_")[1] for name in names} == {"unet", "te1", "te2"}
    assert all("_blocks_" in name or "_block_" in name for name in names if "unet" in name)
    assert any(name.startswith("lora_unet_middle_block_1_transformer_blocks_1_attn2_to_k") for name in names)


def test_captions_of_sdxl_are_what_the_pipeline_encodes(sdxl):  # noqa: F811
    from lib_hps.diffusion.conditioning import encode
    from lib_hps.training.lora.base import load_base

    base = load_base(sdxl.path, device="cpu")
    captions = Captions(base.towers, None)
    wanted = encode(base.towers, "a cat, a dog")
    found = captions.embedding("a cat, a dog")
    torch.testing.assert_close(found.context, wanted.context[0])
    torch.testing.assert_close(found.pooled, wanted.pooled[0])
    assert captions.embedding("").context.abs().max() == captions.embedding("").pooled.abs().max() == 0
    tokens = captions.tokens("a cat, a dog")[None]
    torch.testing.assert_close(embed([t.model for t in base.towers], tokens).context[0], wanted.context[0])
