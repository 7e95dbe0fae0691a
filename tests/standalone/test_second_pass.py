"""The second pass that makes a winner larger: where it begins on every sampler's schedule, and that it repeats."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from lib_hps.diffusion.request import GenerationRequest
from lib_hps.diffusion.samplers import SAMPLERS, Run, moves, moves_left
from lib_hps.diffusion.schedules import NoiseSchedule
from lib_hps.diffusion.second_pass import SecondPass
from lib_hps.errors import InputError

REQUEST = GenerationRequest("a cat", negative="dog", steps=4, sampler="DDIM", width=64, height=64, seed=5)


def pixels(image) -> np.ndarray:
    return np.asarray(image.convert("RGB")).astype(int)


@pytest.mark.parametrize("strength", [0.3, 0.75, 1.0])
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_second_pass_begins_with_the_latent_noised_up_to_its_strength(sampler, strength):
    """The model is first asked about sqrt(a_t) * latent + sqrt(1 - a_t) * noise, with t about strength * 1000."""
    import torch

    schedule = NoiseSchedule()
    generator = torch.Generator().manual_seed(0)
    latent, noise = (torch.randn((1, 4, 8, 8), generator=generator) for _ in range(2))
    asked = []

    def eps(x, t):
        asked.append((x, float(t)))
        return torch.zeros_like(x)

    second = SecondPass(dataclasses.replace(REQUEST, sampler=sampler, steps=20), width=64, height=64, strength=strength)
    count = moves(sampler, second.steps, schedule)
    skipped = second.skipped(count)
    run = Run(eps, schedule, noise, second.steps, lambda: noise, latent=latent, skipped=skipped)
    walked = list(SAMPLERS[sampler][0](run))
    assert len(walked) == moves_left(sampler, second.steps, schedule, skipped)
    assert abs(len(walked) - 20) <= (3 if sampler == "DDIM" else 1)
    x, t = asked[0]
    # A1111's samplers on time steps begin one step below
    noised = t + 1000 // second.steps if sampler in ("DDIM", "UniPC") else t
    a = float(1 / (schedule.t_to_sigma(torch.tensor(min(noised, 999.0))) ** 2 + 1))
    assert torch.allclose(x, a**0.5 * latent + (1 - a) ** 0.5 * noise, atol=2e-3)
    if "Karras" not in sampler:  # whose steps are not even in time
        assert abs(noised / 1000 - strength) < 0.06


def test_a_second_pass_draws_the_size_asked_for_and_the_same_every_time(pipeline):
    first = next(pipeline.generate(REQUEST)).image
    passes = [list(pipeline.refine(REQUEST, first, width=96, height=128, strength=s)) for s in (0.5, 0.5, 0.7, 0.0)]
    images = [pixels(events[-1].image) for events in passes]
    assert images[0].shape == (128, 96, 3)
    assert (images[0] == images[1]).all()
    assert np.abs(images[0] - images[2]).max() > 8
    assert [len(events) - 1 for events in passes] == [2, 2, 2, 0]  # of four steps; A1111's DDIM leaves out two
    assert [event.fraction for event in passes[0][:-1]] == [0.5, 1.0]


def test_a_second_pass_walks_the_end_of_the_schedule_as_hires_fix_does():
    second = SecondPass(dataclasses.replace(REQUEST, steps=20), width=128, height=128, strength=0.5)
    assert (second.steps, second.skipped(40)) == (40, 20)  # A1111: t_enc = 19, sigmas[40 - 19 - 1:]
    full = SecondPass(dataclasses.replace(REQUEST, steps=20), width=128, height=128, strength=1.0)
    assert (full.steps, full.skipped(20)) == (20, 0)
    for bad in (-0.1, 1.1, float("nan")):
        with pytest.raises(InputError, match="strength"):
            SecondPass(REQUEST, width=128, height=128, strength=bad)


def test_a_picture_is_encoded_the_same_every_time_in_the_latents_shape(pipeline):
    image = next(pipeline.generate(REQUEST)).image
    latent = pipeline._decoder.encode(image)
    assert latent.shape == (1, 4, 8, 8)
    assert bool((latent == pipeline._decoder.encode(image)).all())
