"""`hps train-lora` on the bundled model: what is written, what it does, and that nothing is lost on the way."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
for name in ("accelerate", "diffusers", "peft", "transformers"):
    pytest.importorskip(name)

from PIL import Image, ImageDraw  # noqa: E402
from safetensors import safe_open  # noqa: E402
from safetensors.torch import load_file  # noqa: E402

from lib_hps.diffusion.bundled import require_tiny_checkpoint  # noqa: E402
from lib_hps.errors import InputError, WeightsError  # noqa: E402
from lib_hps.training.lora.config import LoraSettings  # noqa: E402
from lib_hps.training.lora.run import Job, train_lora  # noqa: E402

ROOT = Path(__file__).parents[2]
QUICK = {"batch": 4, "lr": 2e-3, "crops": 1, "sample_every": 0, "save_every": 1, "seed": 3, "rank": 2}


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Six prompts with a picture of each kind, one of them broken, one wide."""
    folder = tmp_path_factory.mktemp("data")
    rows = []
    chance = random.Random(1)
    for i in range(6):
        for kind in ("positive", "negative", "regularisation"):
            image = Image.new("RGB", (96, 64) if i == 5 else (64, 64), "white")
            colour = tuple(chance.randrange(256) for _ in range(3))
            ImageDraw.Draw(image).ellipse((10, 10, 50, 50), fill=colour)
            file = folder / f"{i}-{kind}.png"
            image.save(file)
            prompt = f"{('red', 'blue', 'green')[i % 3]} circle, noto style"
            caption = "Weird image. " * (kind == "negative") + prompt
            rows.append({"file": file.name, "caption": caption, "prompt": prompt, "kind": kind, "group": str(i)})
    broken = folder / "4-regularisation.png"
    broken.write_bytes(broken.read_bytes()[:80])
    (folder / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def trained(data: Path, folder: Path, **changes):
    said: list[str] = []
    settings = LoraSettings(**{**QUICK, "steps": 8, **changes})
    job = Job(
        data / "manifest.jsonl", require_tiny_checkpoint(), folder / "a.safetensors", folder / "run", device="cpu"
    )
    return train_lora(job, settings, say=said.append), said


def command(data: Path, folder: Path, *more: str) -> list[str]:
    fixed = ["lib_hps.cli", "train-lora", str(data / "manifest.jsonl"), "--base", "tiny-sd", "--device", "cpu"]
    fixed += ["--out", str(folder / "a.safetensors"), "--run-dir", str(folder / "run")]
    return [*fixed, *(f"--{name.replace('_', '-')}={value}" for name, value in QUICK.items()), *more]


def environment() -> dict[str, str]:
    return {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": str(torch.get_num_threads()),
        "HF_HUB_OFFLINE": "1",
    }


def same(first: Path, second: Path) -> bool:
    a, b = load_file(first), load_file(second)
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return folder, *trained(data, folder)


def test_a_broken_picture_is_reported_and_left_out(whole):
    _, done, said = whole
    assert [path.name for path in done.left_out] == ["4-regularisation.png"]
    assert any("4-regularisation.png" in words for words in said)


def test_time_and_memory_are_said_before_it_begins(whole):
    assert any("steps of about" in words and "GiB" in words for words in whole[2])


def test_the_file_is_a_kohya_lora_with_card_preview_and_hashes(whole):
    import hashlib

    folder, _, _ = whole
    path = folder / "a.safetensors"
    with safe_open(path, "pt") as opened:
        details = opened.metadata()
        names = {key.split(".")[0] for key in opened.keys()}  # noqa: SIM118
        assert all(float(opened.get_tensor(f"{name}.alpha")) == 2 for name in names)
    assert len(names) == 14 * 4  # q, k, v, out of seven blocks' two attentions
    assert details["ss_output_name"] == "a"
    assert details["ss_network_dim"] == "2"
    assert details["modelspec.architecture"] == "stable-diffusion-v1/lora"
    content = path.read_bytes()
    assert (
        details["sshs_model_hash"] == hashlib.sha256(content[8 + int.from_bytes(content[:8], "little") :]).hexdigest()
    )
    card = json.loads((folder / "a.json").read_text())
    assert card["negative text"] == "Weird image. "
    assert card["sd version"] == "SD1"
    with Image.open(folder / "a.png") as preview:
        assert preview.size == (64, 64)


def test_the_file_on_the_base_draws_what_the_adapter_drew(data, whole):
    from lib_hps.diffusion.lora import LoraModel, LoraUse
    from lib_hps.diffusion.request import GenerationRequest
    from lib_hps.training.lora.base import load_base

    folder, done, _ = whole
    base = load_base(require_tiny_checkpoint(), device="cpu")
    model, pipeline = LoraModel(base.unet, [t.model for t in base.towers]), base.pipeline()
    with Image.open(folder / "a.png") as opened:
        preview = np.asarray(opened, dtype=np.int16)
    prompt = "red circle, noto style"
    request = GenerationRequest(prompt, "Weird image. ", steps=20, cfg=7.0, width=64, height=64, seed=20_000)

    def drawn(strength: float) -> np.ndarray:
        with model.applied([LoraUse(folder / "a.safetensors", strength, strength)]):
            return np.asarray(next(iter(pipeline.generate(request))).image, dtype=np.int16)

    assert np.abs(drawn(1.0) - preview).max() <= 2
    distances = [float(np.abs(drawn(s) - drawn(0.0)).mean()) for s in (0.0, 0.5, 1.0)]
    assert distances[0] == 0 < distances[1] < distances[2]
    assert done.distance > 0


def test_the_same_seed_gives_the_same_file_and_a_kill_loses_nothing(data, whole, tmp_path):
    chance = random.Random(7)
    kills = 0
    log = tmp_path / "run" / "log.jsonl"
    for wanted in sorted(chance.sample(range(1, 8), 2)):
        process = subprocess.Popen(
            [sys.executable, "-m", *command(data, tmp_path, "--steps=8")],
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while process.poll() is None and not (log.exists() and log.read_text().count("\n") >= wanted):
            time.sleep(0.01)
        kills += process.poll() is None
        process.kill()
        process.wait()
    assert kills == 2
    done, _ = trained(data, tmp_path)
    assert done.result.step == 8
    assert same(tmp_path / "a.safetensors", whole[0] / "a.safetensors")


def test_two_processes_equal_one_with_the_doubled_batch(data, tmp_path):
    found = []
    for count in (1, 2):
        folder = tmp_path / str(count)
        launch = ["torch.distributed.run", "--nproc_per_node", str(count), "--master_port", "0", "-m"]
        launch = [*launch[:3], "--rdzv-backend=c10d", "--rdzv-endpoint=localhost:0", "-m"]
        done = subprocess.run(
            [sys.executable, "-m", *launch, *command(data, folder, "--steps=4", "--micro-batch=2", "--precision=fp32")],
            env={**environment(), "ACCELERATE_USE_CPU": "true"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode in (0, 1), done.stderr[-3000:]
        assert f"{count} process(es)" in done.stderr
        found.append(load_file(folder / "a.safetensors"))
    assert found[0].keys() == found[1].keys()
    moved = max(float(tensor.abs().max()) for key, tensor in found[0].items() if "lora_up" in key)
    assert moved > 1e-3
    for key in found[0]:
        torch.testing.assert_close(found[0][key], found[1][key], atol=2e-5, rtol=0)


def test_dpo_learns_its_pairs_with_the_reference_off(data, tmp_path):
    trained(data, tmp_path, objective="dpo", steps=30, beta=2000.0, save_every=30)
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert lines[0]["loss"] == pytest.approx(0.6931, abs=1e-4)  # the adapter begins as the base
    assert lines[0]["winner change"] == lines[0]["loser change"] == 0
    late = lines[-8:]
    assert sum(line["implicit accuracy"] for line in late) / len(late) > 0.7
    assert sum(line["winner change"] - line["loser change"] for line in late) < 0
    assert json.loads((tmp_path / "a.json").read_text())["negative text"] == ""


def test_switched_off_the_adapter_is_the_base_to_the_last_bit():
    from lib_hps.training.lora.adapter import Adapter
    from lib_hps.training.lora.base import load_base

    base = load_base(require_tiny_checkpoint(), device="cpu")
    x, t = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0)), torch.tensor([10, 700])
    context = torch.randn(2, 77, 96, generator=torch.Generator().manual_seed(1))
    before = base.unet(x, t, encoder_hidden_states=context).sample.detach()
    adapter = Adapter(base, rank=3, alpha=6, targets=["attention", "feed-forward", "conv"], has_text=True, seed=0)
    with torch.no_grad():
        for parameter in adapter.parameters():
            parameter.add_(0.05)
        on = base.unet(x, t, encoder_hidden_states=context).sample
        with adapter.off():
            off = base.unet(x, t, encoder_hidden_states=context).sample
    assert torch.equal(off, before)
    assert not torch.allclose(on, before, atol=1e-3)
    pairs = adapter.pairs()
    for (part, _), norm in zip(pairs, adapter.norms(), strict=True):
        assert part in ("unet", "text_encoder")
        assert norm > 0
    for pair, norm in zip(pairs.values(), adapter.norms(), strict=True):
        shape = (pair.up.shape[0], *pair.down.shape[1:])
        assert float(pair.delta(shape).norm()) == pytest.approx(norm, rel=1e-3)
    assert adapter.limit(0.1) > 0
    assert max(adapter.norms()) <= 0.1001


def test_everything_together_trains_and_fits(data, tmp_path):
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state(reset_partial_state=True)  # it keeps the first precision of a process
    done, _ = trained(
        data,
        tmp_path,
        steps=3,
        targets="attention,feed-forward,conv",
        text_encoder=True,
        gradient_checkpointing=True,
        ema=0.9,
        min_snr=5.0,
        noise_offset=0.05,
        caption_dropout=0.3,
        max_norm=1.0,
        cache=False,
        precision="bf16",
        schedule="cosine",
        warmup=1,
        micro_batch=2,
    )
    AcceleratorState._reset_state(reset_partial_state=True)
    names = load_file(done.path).keys()
    assert any(name.startswith("lora_te_") for name in names)


def test_samples_are_judged_and_the_best_weights_win(data, tmp_path):
    rows = []
    for i in range(20):
        row = {
            "file": "0-positive.png",
            "caption": f"shape {i}",
            "prompt": f"shape {i}",
            "kind": "positive",
            "group": i,
        }
        rows.append(json.dumps(row) + "\n")
    (data / "many.jsonl").write_text("".join(rows))
    settings = LoraSettings(**{**QUICK, "steps": 4, "sample_every": 2, "sample_steps": 3, "patience": 1, "lr": 0.05})
    job = Job(
        data / "many.jsonl", require_tiny_checkpoint(), tmp_path / "a.safetensors", tmp_path / "run", device="cpu"
    )
    said: list[str] = []
    done = train_lora(job, settings, say=said.append)
    assert any("tiny-hps" in words and "tiny-holdout" in words for words in said)
    assert {"value", "held-out gain, adapted", "scorer gain, adapted, negative"} <= done.result.history[0].keys()
    assert done.result.best_step in (2, 4)
    assert len(list((tmp_path / "run" / "samples").glob("*.png"))) == len(done.result.history) >= 1
    assert "held-out gain" in (tmp_path / "run" / "curves.html").read_text()


def test_another_run_s_folder_is_refused(data, tmp_path):
    trained(data, tmp_path, steps=1)
    with pytest.raises(InputError, match="rank = 2"):
        trained(data, tmp_path, steps=2, rank=4)


def test_a_training_that_changed_nothing_is_not_written(data, tmp_path):
    with pytest.raises(WeightsError, match="changes nothing"):
        trained(data, tmp_path, steps=1, lr=1e-12)
    assert not (tmp_path / "a.safetensors").exists()
