"""Training on other files than an SD1 `.safetensors`: SD2's architecture, a `.ckpt`, another autoencoder."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
for name in ("accelerate", "diffusers", "peft", "transformers"):
    pytest.importorskip(name)

from PIL import Image  # noqa: E402
from safetensors import safe_open  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402

from lib_hps.cli import main  # noqa: E402
from lib_hps.diffusion.bundled import require_tiny_checkpoint  # noqa: E402
from lib_hps.training.lora.base import load_base  # noqa: E402
from lib_hps.training.lora.config import LoraSettings  # noqa: E402
from lib_hps.training.lora.run import Job, train_lora  # noqa: E402
from tools.tiny_models.random_bases import write_sd2  # noqa: E402

QUICK = {"steps": 3, "batch": 2, "lr": 1e-2, "rank": 2, "crops": 1, "sample_every": 0}
VAE = "first_stage_model."


@pytest.fixture(scope="module")
def manifest(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    rows = []
    for i, kind in enumerate(("positive", "negative", "positive", "negative")):
        Image.effect_noise((80, 64), 90).convert("RGB").save(folder / f"{i}.png")
        prompt = "a cat" if i < 2 else "a dog"
        rows.append({"file": f"{i}.png", "caption": prompt, "prompt": prompt, "kind": kind, "group": str(i // 2)})
    (folder / "m.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder / "m.jsonl"


def trained(manifest: Path, base: Path, folder: Path, vae: Path | None = None, **changes) -> Path:
    job = Job(manifest, base, folder / "a.safetensors", folder / "run", vae, device="cpu")
    done = train_lora(job, LoraSettings(**{**QUICK, **changes}), say=print)
    assert done.distance > 0
    return done.path


def same(first: Path, second: Path) -> bool:
    a, b = load_file(first), load_file(second)
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


@pytest.mark.parametrize("objective", ["hps", "dpo"])
@pytest.mark.parametrize("is_v", [True, False])
def test_a_file_of_sd2s_architecture_is_adapted_to_what_it_predicts(manifest, tmp_path, is_v, objective):
    made = write_sd2(tmp_path, is_v=is_v)
    file = trained(manifest, made.path, tmp_path, objective=objective, text_encoder=True)
    with safe_open(file, "pt") as opened:
        names, details = {key.split(".")[0] for key in opened.keys()}, opened.metadata()  # noqa: SIM118
    assert details["ss_v2"] == "True"
    assert details["ss_base_model_version"] == ("sd_v2_v" if is_v else "sd_v2")
    assert details["modelspec.prediction_type"] == ("v" if is_v else "epsilon")
    assert {name.split("_")[1] for name in names} == {"unet", "te"}


@pytest.mark.parametrize("is_v", [True, False])
def test_the_loss_of_an_sd2_file_is_against_diffusers_own_target(manifest, tmp_path, is_v):
    from diffusers import DDPMScheduler

    from lib_hps.training.engine import make_accelerator
    from lib_hps.training.lora.preparation import Preparation

    job = Job(manifest, write_sd2(tmp_path, is_v=is_v).path, tmp_path / "a.safetensors", tmp_path / "run", device="cpu")
    run = Preparation(job, LoraSettings(**QUICK), make_accelerator("fp32", device="cpu"), "fp32", print)
    generator = torch.Generator().manual_seed(0)
    batch = run.task.collate([run.task.load(i, generator) for i in range(2)])
    theirs = DDPMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
    noise, t = batch.noise[:, 0], batch.t[:, 0]
    x0 = run.task._latents(batch.pictures.flatten(0, 1), batch.spread[:, 0])
    noisy = theirs.add_noise(x0, noise, t)
    with torch.no_grad():
        said = run.base.unet(noisy, t, encoder_hidden_states=batch.context).sample
        loss, _ = run.task.loss(run.task.model, batch, torch.device("cpu"))
    target = theirs.get_velocity(x0, noise, t) if is_v else noise
    assert float(loss) == pytest.approx(float(((said - target) ** 2).mean()), rel=1e-4)


def test_a_ckpt_gives_the_same_bits_as_the_safetensors(manifest, tmp_path):
    base = require_tiny_checkpoint()
    ckpt = tmp_path / "copy.ckpt"
    torch.save({"state_dict": load_file(base), "global_step": 7}, ckpt)
    shutil.copy(base.with_suffix(".yaml"), ckpt.with_suffix(".yaml"))
    for folder in base.parent.iterdir():
        if folder.is_dir():
            shutil.copytree(folder, tmp_path / folder.name)
    first, second = (trained(manifest, file, tmp_path / file.suffix[1:], text_encoder=True) for file in (base, ckpt))
    assert same(first, second)


def test_another_autoencoder_is_what_pictures_are_read_with(manifest, tmp_path):
    base = require_tiny_checkpoint()
    own = {key.removeprefix(VAE): value for key, value in load_file(base).items() if key.startswith(VAE)}
    copy, other = tmp_path / "copy.vae.safetensors", tmp_path / "other.vae.safetensors"
    save_file(own, copy)
    save_file({key: 1.1 * value for key, value in own.items()}, other)
    plain = trained(manifest, base, tmp_path / "plain")
    assert same(plain, trained(manifest, base, tmp_path / "copy", vae=copy))
    assert not same(plain, trained(manifest, base, tmp_path / "other", vae=other))
    assert load_base(base, vae=other).vae_hash != load_base(base).vae_hash  # latents are kept apart


def test_the_command_takes_the_autoencoder_and_refuses_a_file_that_is_none(manifest, tmp_path, capsys):
    base = require_tiny_checkpoint()
    fixed = ["train-lora", str(manifest), "--base", str(base), "--out", str(tmp_path / "a.safetensors")]
    fixed += ["--run-dir", str(tmp_path / "run"), "--device", "cpu", "--steps", "1", "--batch", "1", "--crops", "1"]
    fixed += ["--sample-every", "0", "--lr", "0.01"]
    save_file({"encoder.conv_in.weight": torch.zeros(1)}, tmp_path / "none.safetensors")
    assert main([*fixed, "--vae", str(tmp_path / "none.safetensors")]) == 2
    assert "is no autoencoder" in capsys.readouterr().err
    own = {key: value for key, value in load_file(base).items() if key.startswith(VAE)}  # with LDM's prefix
    save_file(own, tmp_path / "vae.safetensors")
    assert main([*fixed, "--vae", str(tmp_path / "vae.safetensors")]) == 0
    assert (tmp_path / "a.safetensors").is_file()
