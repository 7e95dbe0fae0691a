"""LoRA files on the standalone pipeline: on with a strength, off to the last bit, and never half."""

import dataclasses

import numpy as np
import pytest
import torch
from random_models import write_lora
from safetensors.torch import load_file, save_file

from lib_hps.diffusion.lora import LoraModel, LoraUse
from lib_hps.diffusion.lora_file import read_lora
from lib_hps.diffusion.pipeline import load_pipeline
from lib_hps.diffusion.request import GenerationRequest, Picture
from lib_hps.errors import InputError, WeightsError
from lib_hps.infotext import parse_infotext

REQUEST = GenerationRequest("a cat", negative="dog", steps=3, sampler="DDIM", width=64, height=64, seed=5)


@pytest.fixture(scope="module")
def drawn(tiny_checkpoint, tmp_path_factory):
    """A pipeline with a folder of two LoRAs."""
    folder = tmp_path_factory.mktemp("Lora")
    (folder / "mine").mkdir()
    pipeline = load_pipeline(tiny_checkpoint, "cpu", lora_dir=folder)
    write_lora(folder / "mine" / "taste.safetensors", pipeline)
    write_lora(folder / "other.safetensors", pipeline, seed=1, has_text=False)
    pipeline.folder = folder
    return pipeline


def draw(pipeline, prompt, **changes):
    return next(pipeline.generate(dataclasses.replace(REQUEST, prompt=prompt, **changes)))


def pixels(pipeline, prompt):
    return np.asarray(draw(pipeline, prompt).image).astype(int)


def weights(pipeline):
    parts = [pipeline._unet, *(tower.model for tower in pipeline._guide._towers)]
    return [parameter.clone() for part in parts for parameter in part.parameters()]


def test_strength_zero_and_taking_off_give_the_picture_and_the_weights_to_the_last_bit(drawn):
    before, base = weights(drawn), pixels(drawn, "a cat")
    with_lora = pixels(drawn, "a cat<lora:taste:1>")
    assert np.abs(with_lora - base).max() > 8
    assert (pixels(drawn, "a cat<lora:taste:0>") == base).all()
    assert all(torch.equal(one, other) for one, other in zip(before, weights(drawn), strict=True))
    assert (pixels(drawn, "a cat") == base).all()
    assert (pixels(drawn, "a cat<lora:taste:1>") == with_lora).all()


def test_the_picture_moves_away_with_the_strength(drawn):
    base = pixels(drawn, "a cat")
    far = [np.abs(pixels(drawn, f"a cat<lora:other:{strength}>") - base).mean() for strength in (0, 0.1, 0.4, 1)]
    assert far == sorted(far)
    assert len(set(far)) == 4


def test_unet_and_text_encoder_have_strengths_of_their_own(drawn):
    text, unet = pixels(drawn, "a cat<lora:taste:1:0>"), pixels(drawn, "a cat<lora:taste:te=0:unet=1>")
    both = pixels(drawn, "a cat<lora:taste:1>")
    assert (text != unet).any()
    assert (unet == pixels(drawn, "a cat<lora:taste:0:1>")).all()
    assert (both != unet).any()
    assert (both != text).any()


def test_two_files_add_up(drawn):
    both = pixels(drawn, "a cat<lora:taste:.5><lora:other:.5>")
    assert (both != pixels(drawn, "a cat<lora:taste:.5>")).any()
    assert (both != pixels(drawn, "a cat<lora:other:.5>")).any()


def test_jobs_that_take_turns_step_by_step_do_not_see_each_others_lora(drawn):
    prompts = ("a cat", "a cat<lora:taste:1>", "a cat<lora:other:-1>")
    alone = [pixels(drawn, prompt) for prompt in prompts]
    streams = [drawn.stream(dataclasses.replace(REQUEST, prompt=prompt)) for prompt in prompts]
    found = {}
    while len(found) < len(streams):
        for place, stream in enumerate(streams):
            event = next(stream, None)
            if isinstance(event, Picture):
                found[place] = np.asarray(event.image).astype(int)
    assert all((found[place] == picture).all() for place, picture in enumerate(alone))


def test_the_weights_are_the_formulas(drawn):
    file = read_lora(drawn.folder / "other.safetensors")
    name, pair = next(iter(file.pairs.items()))
    key = drawn.loras.names.read(name)
    original = drawn._unet.get_submodule(key[1]).weight.clone()
    with drawn.loras.applied([LoraUse(file.path, unet=0.5)]):
        now = drawn._unet.get_submodule(key[1]).weight.clone()
    assert torch.allclose(now, original + 0.5 * pair.alpha / 4 * (pair.up @ pair.down), atol=1e-6)


def test_the_infotext_keeps_the_prompt_and_names_the_file_by_its_hash(drawn):
    from lib_hps.diffusion.lora_file import addnet_hash

    picture = draw(drawn, "a cat <lora:taste:0.7>")
    found = parse_infotext(picture.infotext())
    assert found.prompt == "a cat <lora:taste:0.7>"
    digest = addnet_hash(drawn.folder / "mine" / "taste.safetensors")
    assert found.settings["Lora hashes"] == f"taste: {digest[:12]}"


def test_a_file_that_changed_is_read_again(drawn, tmp_path):
    path = write_lora(tmp_path / "changing.safetensors", drawn, has_text=False)
    with drawn.loras.applied([LoraUse(path)]):
        first = drawn._unet.get_submodule("mid_block.attentions.0.transformer_blocks.0.attn1.to_q").weight.clone()
    write_lora(path, drawn, has_text=False, seed=7, rank=5)
    with drawn.loras.applied([LoraUse(path)]):
        second = drawn._unet.get_submodule("mid_block.attentions.0.transformer_blocks.0.attn1.to_q").weight.clone()
    assert not torch.equal(first, second)


def test_what_cannot_be_put_on_is_named_and_changes_nothing(drawn, tmp_path):
    tensors = load_file(drawn.folder / "other.safetensors")
    name, odd = next(iter(tensors)).split(".")[0], "lora_unet_up_blocks_9_attentions_0_proj_in"
    cases = {
        "unknown": ({key.replace(name, odd): value for key, value in tensors.items()}, odd),
        "half": ({key: value for key, value in tensors.items() if key != f"{name}.lora_up.weight"}, name),
        "nan": (tensors | {f"{name}.lora_up.weight": tensors[f"{name}.lora_up.weight"] * float("nan")}, name),
        "shape": (tensors | {f"{name}.lora_up.weight": torch.zeros(7, 4)}, "another base model"),
        "dora": (tensors | {f"{name}.dora_scale": torch.ones(1)}, "DoRA"),
        "peft": ({"unet.conv_in.lora_A.weight": torch.ones(1, 1)}, "hps convert"),
        "other": ({"something": torch.ones(1)}, "something"),
    }  # fmt: skip
    before = weights(drawn)
    for label, (found, words) in cases.items():
        path = tmp_path / f"{label}.safetensors"
        save_file({key: value.contiguous() for key, value in found.items()}, path)
        with pytest.raises(WeightsError, match=words) as error, drawn.loras.applied([LoraUse(path)]):
            pass
        assert str(path) in str(error.value)
    assert all(torch.equal(one, other) for one, other in zip(before, weights(drawn), strict=True))


def test_a_prompt_that_asks_for_what_is_not_there_says_so_before_drawing(drawn, pipeline):
    for prompt, words in [
        ("a<lora:nothing:1>", "nothing"),
        ("a<lora:taste:much>", "much"),
        ("a<hypernet:x:1>", "hypernet"),
        ("a<lora:taste:1:dyn=4>", "not understood"),
    ]:
        with pytest.raises(InputError, match=words):
            drawn.stream(dataclasses.replace(REQUEST, prompt=prompt))
    with pytest.raises(InputError, match="--lora-dir"):
        pipeline.stream(dataclasses.replace(REQUEST, prompt="a<lora:taste:1>"))


def test_convolutions_and_split_convolutions_change_as_the_webui_computes_them(drawn, tmp_path):
    module = drawn._unet.get_submodule("down_blocks.0.resnets.0.conv1")
    out, inside = module.weight.shape[:2]
    generator = torch.Generator().manual_seed(1)

    def random(*shape):
        return torch.randn(shape, generator=generator)

    name = drawn.loras.names.write("unet", "down_blocks.0.resnets.0.conv1")
    plain = {"lora_down.weight": random(3, inside, 3, 3), "lora_up.weight": random(out, 3, 1, 1)}
    split = {
        "lora_down.weight": random(3, inside, 1, 1),
        "lora_mid.weight": random(3, 3, 3, 3),
        "lora_up.weight": random(out, 3, 1, 1),
    }
    pictures = torch.randn((1, inside, 8, 8), generator=generator)
    for label, found in (("plain", plain), ("split", split)):
        path = tmp_path / f"{label}.safetensors"
        save_file({f"{name}.{key}": value for key, value in found.items()}, path)
        y = torch.nn.functional.conv2d(pictures, found["lora_down.weight"], padding=1 if label == "plain" else 0)
        if label == "split":
            y = torch.nn.functional.conv2d(y, found["lora_mid.weight"], padding=1)
        y = torch.nn.functional.conv2d(y, found["lora_up.weight"])
        wanted = module(pictures) + 2 * y
        with drawn.loras.applied([LoraUse(path, unet=2)]):
            assert torch.allclose(module(pictures), wanted, atol=2e-3)


def test_a_model_of_the_trainer_takes_the_same_files(drawn):
    """peft wraps layers; the paths stay."""
    peft = pytest.importorskip("peft")
    from diffusers import UNet2DConditionModel

    unet = UNet2DConditionModel(**drawn._unet.config)
    unet.load_state_dict(drawn._unet.state_dict())
    unet.add_adapter(peft.LoraConfig(r=2, target_modules=["to_q", "to_k"]))
    model = LoraModel(unet, [])
    assert len(model.match(read_lora(drawn.folder / "other.safetensors"))) > 0
