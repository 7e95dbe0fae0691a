"""Switches of the LoRA trainer do what they say, on the bundled tiny-sd."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
for name in ("accelerate", "diffusers", "peft", "transformers"):
    pytest.importorskip(name)

from PIL import Image  # noqa: E402

from lib_hps.diffusion.bundled import require_tiny_checkpoint  # noqa: E402
from lib_hps.training.engine import make_accelerator, train  # noqa: E402
from lib_hps.training.lora.config import LoraSettings  # noqa: E402
from lib_hps.training.lora.job import Job  # noqa: E402
from lib_hps.training.lora.latents import LatentStore  # noqa: E402
from lib_hps.training.lora.preparation import Preparation  # noqa: E402


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    rows = []
    chance = random.Random(1)
    for i in range(4):
        pixels = bytes(chance.randrange(256) for _ in range(120 * 72 * 3))
        Image.frombytes("RGB", (120, 72), pixels).save(folder / f"{i}.png")
        rows.append({"file": f"{i}.png", "caption": f"shape {i}", "kind": "positive", "prompt": f"shape {i}"})
    (folder / "m.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def prepared(data: Path, folder: Path, **changes) -> Preparation:
    settings = LoraSettings(**{"batch": 2, "rank": 2, "steps": 2, "sample_every": 0, "crops": 1, **changes})
    job = Job(data / "m.jsonl", require_tiny_checkpoint(), folder / "a.safetensors", folder / "run", device="cpu")
    return Preparation(job, settings, make_accelerator("fp32", device="cpu"), "fp32", lambda words: None)


def example(run: Preparation, index: int = 0, seed: int = 0):
    return run.task.load(index, torch.Generator().manual_seed(seed))


def batch_of(run: Preparation):
    return run.task.collate([example(run, index, index) for index in range(2)])


def loss_of(run: Preparation):
    run.task.model.train()
    return run.task.loss(run.task.model, batch_of(run), torch.device("cpu"))[0]


@pytest.fixture(scope="module")
def plain(data, tmp_path_factory) -> Preparation:
    return prepared(data, tmp_path_factory.mktemp("plain"))


def test_noise_offset_shifts_whole_channels(data, plain, tmp_path):
    shifted = example(prepared(data, tmp_path, noise_offset=2.0)).noise
    difference = (shifted - example(plain).noise)[0]  # (C, h, w)
    assert float(difference.std(dim=(1, 2)).max()) < 1e-5
    assert float(difference.mean(dim=(1, 2)).abs().max()) > 0.5


def test_caption_dropout_gives_the_empty_caption_in_its_share(data, plain, tmp_path):
    dropping = prepared(data, tmp_path, caption_dropout=0.5)
    empty = dropping._captions.embedding("").context
    shares = [torch.equal(example(dropping, 0, seed).context, empty) for seed in range(60)]
    assert 15 < sum(shares) < 45
    assert not any(torch.equal(example(plain, 0, seed).context, empty) for seed in range(10))


def test_random_crops_are_as_many_as_asked_for_and_squares_come_without_buckets(data, plain, tmp_path):
    cropping = prepared(data, tmp_path, crops=3, buckets=False, resolution=64)
    seen = {tuple(example(cropping, 0, seed).time_ids[0].tolist()) for seed in range(40)}
    assert len(seen) == 3
    assert {(ids[4], ids[5]) for ids in seen} == {(64.0, 64.0)}
    assert {tuple(example(plain, 0, seed).time_ids[0].tolist()) for seed in range(10)} != seen
    assert example(plain).noise.shape[-1] > example(plain).noise.shape[-2]  # a bucket keeps the wide shape


def test_the_norm_of_a_layers_change_is_held_after_every_step(data, tmp_path):
    held, free = (
        prepared(data, tmp_path / str(most), max_norm=most, lr=0.05, objective="hps", ratio="flat")
        for most in (0.01, 0.0)
    )
    for run in (held, free):
        train(run.task, run._settings.engine("fp32", None), run._job.folder, accelerator=run._accelerator)
    assert 0 < max(held.adapter.norms()) <= 0.0101 < max(free.adapter.norms())


def test_the_layout_in_memory_can_be_chosen_and_changes_no_loss(data, plain, tmp_path):
    last = prepared(data, tmp_path, channels_last=True)
    weight = last.base.unet.down_blocks[0].resnets[0].conv1.weight
    assert weight.is_contiguous(memory_format=torch.channels_last)
    assert not plain.base.unet.down_blocks[0].resnets[0].conv1.weight.is_contiguous(memory_format=torch.channels_last)
    assert float(loss_of(last)) == pytest.approx(float(loss_of(plain)), abs=1e-5)


def test_min_snr_weighs_every_examples_error(data, plain, tmp_path):
    weighed = prepared(data, tmp_path, min_snr=0.01)
    with torch.no_grad():
        inputs, target = plain.task._inputs(batch_of(plain), 1)
        found = ((plain.task.model(**inputs) - target) ** 2).mean(dim=(1, 2, 3))
        a = plain.base.schedule.alphas_cumprod[inputs["t"]]
        weights = (a / (1 - a)).clamp(max=0.01) / (a / (1 - a))
        assert weights.min() < weights.max()
        assert float(loss_of(weighed)) == pytest.approx(float((weights * found).mean()), rel=1e-4)
        assert float(loss_of(plain)) == pytest.approx(float(found.mean()), rel=1e-4)


@pytest.mark.parametrize("has_text", [False, True])
def test_gradient_checkpointing_gives_the_same_gradients(data, tmp_path, has_text):
    found = []
    for is_checkpointed in (False, True):
        run = prepared(data, tmp_path / f"{is_checkpointed}", gradient_checkpointing=is_checkpointed,
                       text_encoder=has_text, targets="attention,conv")  # fmt: skip
        assert run.base.unet.is_gradient_checkpointing == is_checkpointed
        generator = torch.Generator().manual_seed(0)
        for parameter in run.adapter.parameters():
            parameter.data = 0.05 * torch.randn(parameter.shape, generator=generator)
        loss_of(run).backward()
        found.append([parameter.grad for parameter in run.adapter.parameters()])
    assert all(float(gradient.abs().max()) > 0 for gradient in found[0])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-7)


def inside(model, kind, layer):
    """Paths of the `layer`s in every module of a class."""
    parts = [path for path, module in model.named_modules() if type(module).__name__ == kind]
    return {f"{path}.{name}" for path in parts for name, module in model.get_submodule(path).named_modules()
            if isinstance(module, layer)}  # fmt: skip


def test_targets_are_the_layers_that_they_say(plain):
    """By the classes of diffusers and transformers, not by names."""
    from lib_hps.diffusion.pipeline import load_pipeline
    from lib_hps.training.lora.adapter import layers_of

    pipeline = load_pipeline(require_tiny_checkpoint(), "cpu")
    unet, text = pipeline._unet, pipeline._towers[0].model
    wanted = {
        "attention": inside(unet, "Attention", torch.nn.Linear),
        "feed-forward": inside(unet, "FeedForward", torch.nn.Linear),
        "conv": inside(unet, "ResnetBlock2D", torch.nn.Conv2d),
    }
    for target, paths in wanted.items():
        assert set(layers_of(unet, [target])) == paths != set()
    assert set(layers_of(unet, list(wanted))) == set.union(*wanted.values())
    assert set(layers_of(text, None)) == inside(text, "CLIPAttention", torch.nn.Linear) != set()
    adapted = {(part, path) for part, path in plain.adapter.pairs()}
    assert adapted == {("unet", path) for path in wanted["attention"]}


def test_attention_is_torchs_own(plain):
    kinds = {type(processor).__name__ for processor in plain.base.unet.attn_processors.values()}
    assert kinds == {"AttnProcessor2_0"}


def test_beside_a_bf16_training_pictures_are_encoded_in_bf16_unless_they_are_kept(plain):
    def store(cache, *, is_bf16):
        shape = {"resolution": 64, "step": 16, "crops": 1, "has_buckets": True}
        return LatentStore(plain.base.vae, cache, is_bf16=is_bf16, **shape)

    pixels = torch.rand((2, 3, 64, 64), generator=torch.Generator().manual_seed(0)) * 2 - 1
    exact, kept, quick = (
        store(cache, is_bf16=is_bf16).encode(pixels)[:, :4]
        for cache, is_bf16 in ((None, False), (plain._store._cache, True), (None, True))
    )
    assert torch.equal(kept, exact)
    assert 0 < float((quick - exact).std()) < 0.02 * float(exact.std())
