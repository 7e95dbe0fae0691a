"""A file of SDXL's architecture (two text towers, size conditioning) draws what diffusers draws."""

import pytest
from random_models import distance_from_diffusers

from lib_hps.diffusion.pipeline import load_pipeline
from tools.tiny_models.random_bases import write_sdxl


@pytest.fixture(scope="module")
def sdxl(tmp_path_factory):
    return write_sdxl(tmp_path_factory.mktemp("sdxl"))


def test_an_sdxl_file_draws_what_diffusers_draws(sdxl):
    from diffusers import EulerDiscreteScheduler, StableDiffusionXLPipeline

    pipeline = load_pipeline(sdxl.path, "cpu")
    assert (pipeline.family, pipeline.native_side_px, pipeline._towers[1].tokenizer.pad_id) == ("sdxl", 64, 0)
    pipeline._towers[1].tokenizer._backend.pad_token = "!"  # token 0, with which open_clip pads
    reference = StableDiffusionXLPipeline(
        vae=sdxl.vae,
        unet=sdxl.unet,
        text_encoder=sdxl.towers[0],
        text_encoder_2=sdxl.towers[1],
        tokenizer=pipeline._towers[0].tokenizer._backend,
        tokenizer_2=pipeline._towers[1].tokenizer._backend,
        scheduler=EulerDiscreteScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", timestep_spacing="linspace"
        ),
        add_watermarker=False,
    )
    assert distance_from_diffusers(pipeline, reference, width=96, height=64) <= 1


def test_an_empty_negative_prompt_of_sdxl_is_all_zeros(sdxl):
    from lib_hps.diffusion.conditioning import encode

    towers = load_pipeline(sdxl.path, "cpu")._towers
    empty = encode(towers, "", is_negative=True)
    assert not empty.context.any()
    assert not empty.pooled.any()
    assert encode(towers, "").context.any()
