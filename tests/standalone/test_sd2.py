"""Files of SD2's architecture (one open_clip tower without its last layer, v or eps) draw what diffusers draws."""

import dataclasses

import pytest
import torch
from random_models import distance_from_diffusers

from lib_hps.diffusion.checkpoint import read_checkpoint
from lib_hps.diffusion.loading import prediction
from lib_hps.diffusion.pipeline import load_pipeline
from tools.tiny_models.random_bases import write_sd2


@pytest.mark.parametrize("is_v", [True, False])
def test_an_sd2_file_draws_what_diffusers_draws(tmp_path, is_v):
    from diffusers import EulerDiscreteScheduler, StableDiffusionPipeline
    from transformers import CLIPTextModel

    made = write_sd2(tmp_path, is_v=is_v)
    pipeline = load_pipeline(made.path, "cpu")
    assert (pipeline.family, pipeline._towers[0].tokenizer.pad_id) == ("sd2", 0)
    backend = pipeline._towers[0].tokenizer._backend
    backend.pad_token = "!"  # what open_clip pads with: token 0
    config = made.towers[0].config
    config.num_hidden_layers -= 1  # as the published SD2 pipelines have it
    text = CLIPTextModel(config).eval()
    given = {key.removeprefix("text_model."): value for key, value in made.towers[0].state_dict().items()}
    wanted = {key: given[key.removeprefix("text_model.")] for key in text.state_dict()}  # transformers 4 has the prefix
    text.load_state_dict(wanted)
    reference = StableDiffusionPipeline(
        vae=made.vae,
        unet=made.unet,
        text_encoder=text,
        tokenizer=backend,
        scheduler=EulerDiscreteScheduler(
            beta_start=0.00085,
            beta_end=0.012,
            beta_schedule="scaled_linear",
            timestep_spacing="linspace",
            prediction_type="v_prediction" if is_v else "epsilon",
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    assert distance_from_diffusers(pipeline, reference, width=96, height=64) <= 2


class AnswersWith(torch.nn.Module):
    """Stands for a trained UNet at the last time step, where eps is the noise itself and v its opposite."""

    def __init__(self, unet, sign):
        super().__init__()
        self.config, self.device, self.dtype, self._sign = unet.config, unet.device, unet.dtype, sign

    def forward(self, x, t, **_):
        assert int(t) == 999
        return [self._sign * x * 3]


@pytest.mark.parametrize("sign", [1, -1])
def test_a_file_without_a_yaml_is_asked_what_it_predicts(tmp_path, sign):
    made = write_sd2(tmp_path, is_v=False)
    read = dataclasses.replace(read_checkpoint(made.path), has_own_config=False)
    del read.config["model"]["params"]["parameterization"]
    params, is_v = prediction(read, AnswersWith(made.unet, sign))
    assert is_v is (sign < 0)
    assert params["image_size"] == (96 if is_v else 8)
