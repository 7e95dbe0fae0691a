"""The standalone pipeline draws what diffusers draws, the same in every batch, and can be watched and stopped."""

import dataclasses

import numpy as np
import pytest
import torch
from random_models import diffusers_pipeline, distance_from_diffusers

from lib_hps.diffusion.noise import ImageNoise
from lib_hps.diffusion.pipeline import load_pipeline
from lib_hps.diffusion.request import GenerationRequest, Picture
from lib_hps.diffusion.samplers import SAMPLERS
from lib_hps.errors import InputError, WeightsError
from lib_hps.infotext import parse_infotext

REQUEST = GenerationRequest(
    "a cat", negative="dog", steps=4, sampler="Euler", width=64, height=64, seed=5, batch_size=2, count=3
)


def pixels(pictures):
    return np.stack([np.asarray(picture.image) for picture in pictures]).astype(int)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_gives_the_same_picture_alone_and_in_a_batch(pipeline, sampler):
    request = dataclasses.replace(REQUEST, sampler=sampler)
    together = list(pipeline.generate(request))
    alone = list(pipeline.generate(dataclasses.replace(request, batch_size=1)))
    assert [picture.seed for picture in together] == [5, 6, 7]
    assert np.abs(pixels(together) - pixels(alone)).max() <= 1
    assert (pixels(together) == pixels(list(pipeline.generate(request)))).all()
    assert pixels(together).std() > 1
    assert np.abs(pixels(together)[0] - pixels(together)[1]).max() > 8


def test_the_picture_is_the_one_that_diffusers_own_pipeline_draws(pipeline):
    assert distance_from_diffusers(pipeline, diffusers_pipeline(pipeline), width=64, height=64) <= 1


def test_the_noise_is_the_webuis_cpu_source_one_stream_for_each_picture():
    source = ImageNoise([7, 8], (4, 8, 8), torch.device("cpu"))
    first, second = source.draw(), source.draw()
    generator = torch.Generator().manual_seed(8)
    assert torch.equal(first[1], torch.randn((4, 8, 8), generator=generator))
    assert torch.equal(second[1], torch.randn((4, 8, 8), generator=generator))


def test_noise_handed_in_replaces_the_initial_noise_only(pipeline):
    request = dataclasses.replace(REQUEST, sampler="Euler a")
    own = torch.stack([torch.randn((4, 8, 8), generator=torch.Generator().manual_seed(seed)) for seed in (5, 6, 7)])
    assert (pixels(pipeline.generate(request, noise=own)) == pixels(pipeline.generate(request))).all()
    same = pixels(pipeline.generate(request, noise=own[:1].expand(3, -1, -1, -1), seeds=(9, 9, 9)))
    assert np.abs(same[0] - same[2]).max() <= 1
    with pytest.raises(InputError, match="noise"):
        pipeline.generate(request, noise=own[:2]).__next__()
    with pytest.raises(InputError, match="seeds"):
        next(pipeline.generate(request, seeds=(1,)))


def test_a_cancelled_job_keeps_the_finished_batches(pipeline):
    looks = []
    kept = list(pipeline.generate(REQUEST, progress=looks.append, cancelled=lambda: len(looks) >= 6))
    assert [picture.index for picture in kept] == [0, 1]
    assert len(looks) == 6


def test_progress_rises_to_one_and_shows_a_preview(pipeline):
    events = list(pipeline.stream(REQUEST))
    looks = [event for event in events if not isinstance(event, Picture)]
    fractions = [look.fraction for look in looks]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1
    assert looks[0].preview()[1].size == (64, 64)


def test_emphasis_and_long_prompts_change_the_picture_and_plain_brackets_do_not(pipeline):
    def drawn(prompt):
        return pixels(pipeline.generate(dataclasses.replace(REQUEST, prompt=prompt, count=1)))

    assert (drawn("(a cat:1.0)") == drawn("a cat")).all()
    assert (drawn("(a cat:1.4)") != drawn("a cat")).any()
    assert (drawn("a cat, " * 60) != drawn("a cat, " * 15)).any()
    assert (drawn("a cat BREAK dog") != drawn("a cat dog")).any()


def test_the_infotext_says_how_to_draw_the_picture_again(pipeline):
    picture = next(pipeline.generate(REQUEST))
    found = parse_infotext(picture.infotext(HPS="0.5000", HPS_rank="1/3"))
    assert (found.prompt, found.negative) == ("a cat", "dog")
    assert found.settings["Sampler"] == "Euler"
    assert found.settings["HPS rank"] == "1/3"
    assert list(found.settings)[:2] == ["Steps", "Sampler"]
    assert list(found.settings)[-1] == "Version"
    assert len(found.settings["Model hash"]) == 10


@pytest.mark.parametrize(
    "change",
    [
        {"steps": 0},
        {"width": 63},
        {"cfg": float("nan")},
        {"sampler": "Magic"},
        {"seed": -1},
        {"count": 0},
        {"batch_size": 65},
    ],
)
def test_a_request_out_of_range_names_the_value(change):
    with pytest.raises(InputError, match=str(next(iter(change.values())))):
        dataclasses.replace(REQUEST, **change)


def test_checkpoints_that_cannot_be_used_say_why(tmp_path, tiny_checkpoint):
    import pickle

    from safetensors.torch import save_file

    (tmp_path / "empty.safetensors").write_bytes(b"")
    (tmp_path / "half.safetensors").write_bytes(tiny_checkpoint.read_bytes()[:100_000])
    (tmp_path / "code.ckpt").write_bytes(pickle.dumps({"x": print}))
    save_file({"lora_unet.x": torch.zeros(1)}, tmp_path / "lora.safetensors")
    (tmp_path / "standard.safetensors").write_bytes(tiny_checkpoint.read_bytes())  # without its yaml: not SD1's shape
    for name, words in [
        ("none.safetensors", "no checkpoint"),
        ("empty.safetensors", "cannot be read"),
        ("half.safetensors", "half downloaded"),
        ("code.ckpt", "more than weights"),
        ("lora.safetensors", "no whole checkpoint"),
        ("standard.safetensors", "standard"),
    ]:
        with pytest.raises(WeightsError, match=words):
            load_pipeline(tmp_path / name, "cpu")
    with pytest.raises(InputError, match="Device"):
        load_pipeline(tiny_checkpoint, "cuda:99")
    with pytest.raises(InputError, match="precision"):
        load_pipeline(tiny_checkpoint, "cpu", "int3")


def test_the_standard_tokenizer_is_openais():
    from lib_hps.diffusion.tokens import Tokenizer

    tokenizer = Tokenizer.standard(pad_id=0)
    assert (tokenizer.start_id, tokenizer.end_id) == (49406, 49407)
    assert tokenizer.ids("a photo of a cat") == [320, 1125, 539, 320, 2368]


def test_loading_needs_no_torchvision(tiny_checkpoint):
    import subprocess
    import sys

    code = (
        "import sys; from pathlib import Path; from lib_hps.diffusion.pipeline import load_pipeline;"
        f"load_pipeline(Path({str(tiny_checkpoint)!r}), 'cpu'); assert 'torchvision' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
