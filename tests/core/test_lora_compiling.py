"""torch.compile in the LoRA trainer: the same training, and a word where torch cannot."""

from __future__ import annotations

import json
import random
import shutil
from contextlib import contextmanager

import pytest

torch = pytest.importorskip("torch")
for name in ("accelerate", "diffusers", "peft", "transformers"):
    pytest.importorskip(name)

from PIL import Image  # noqa: E402
from safetensors.torch import load_file  # noqa: E402

from lib_hps.diffusion.bundled import require_tiny_checkpoint  # noqa: E402
from lib_hps.errors import InputError  # noqa: E402
from lib_hps.training.engine import make_accelerator  # noqa: E402
from lib_hps.training.lora.compiling import CompiledBlocks, _gradients, explained  # noqa: E402
from lib_hps.training.lora.config import LoraSettings  # noqa: E402
from lib_hps.training.lora.estimate import largest_batch  # noqa: E402
from lib_hps.training.lora.job import Job  # noqa: E402
from lib_hps.training.lora.preparation import Preparation  # noqa: E402
from lib_hps.training.lora.run import train_lora  # noqa: E402

needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")


@pytest.fixture
def job(tmp_path):
    chance = random.Random(1)
    rows = []
    for i in range(4):
        Image.frombytes("RGB", (64, 64), chance.randbytes(64 * 64 * 3)).save(tmp_path / f"{i}.png")
        rows.append({"prompt": f"shape {i % 2}", "winner": f"{i}.png", "loser": f"{(i + 1) % 4}.png"})
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    def place(name: str) -> Job:
        folder = tmp_path / name
        return Job(tmp_path / "pairs.jsonl", require_tiny_checkpoint(), folder / "a.safetensors", folder / "run",
                   device="cpu")  # fmt: skip

    return place


def settings(**changes) -> LoraSettings:
    usual = {"objective": "dpo", "batch": 2, "rank": 2, "steps": 2, "lr": 1e-3, "crops": 1, "sample_steps": 2}
    return LoraSettings(**{**usual, "sample_every": 1, "sample_prompts": 1, "sample_seeds": 1, **changes})


def prepared(job: Job, **changes) -> Preparation:
    return Preparation(job, settings(**changes), make_accelerator("fp32", device="cpu"), "fp32", lambda words: None)


@needs_compiler
@pytest.mark.timeout(900)
def test_compiled_blocks_learn_what_the_unet_itself_learns(job):
    """The whole run: dpo with its reference, samples between the steps, the finished file."""
    said: list[str] = []
    for name in ("plain", "compiled"):
        train_lora(job(name), settings(compile=name == "compiled"), say=said.append)
    plain, compiled = (load_file(job(name).out) for name in ("plain", "compiled"))
    assert plain.keys() == compiled.keys()
    one, other = (torch.cat([file[key].flatten() for key in plain if "lora_up" in key]) for file in (plain, compiled))
    # Adam's first steps are signs: where a gradient is nearly zero its rounding decides
    assert torch.nn.functional.cosine_similarity(one, other, dim=0) > 0.99
    assert sum("Compiling" in words for words in said) == 1


@needs_compiler
@pytest.mark.timeout(900)
@pytest.mark.parametrize("count", [1, 2])  # of one example torch 2.13 got wrong gradients, without an error
def test_compiled_blocks_give_the_same_gradients(job, count):
    run = prepared(job("one"), compile=True)
    generator = torch.Generator().manual_seed(0)
    for parameter in run.adapter.parameters():
        parameter.data = 0.05 * torch.randn(parameter.shape, generator=generator)
    batch = largest_batch(run.task, count)
    with run.compiled.off():
        wanted = _gradients(run.task, run.adapter, batch, run._accelerator.autocast)
    found = _gradients(run.task, run.adapter, batch, run._accelerator.autocast)
    for one, other in zip(wanted, found, strict=True):
        assert float(one.norm()) > 0
        assert float((one - other).norm()) < 1e-3 * float(one.norm())


def test_only_what_is_trained_runs_compiled(job):
    run = prepared(job("one"), compile=True)
    blocks = {module for module in run.base.unet.modules() if module._compiled_call_impl is not None}
    assert {type(block).__name__ for block in blocks} == {"BasicTransformerBlock", "ResnetBlock2D"}
    with run.compiled.off():
        assert not any(module._compiled_call_impl for module in run.base.unet.modules())
        run.samples.preview()  # compiles nothing: this test would take a minute
    assert all(block._compiled_call_impl is not None for block in blocks)
    assert not prepared(job("other")).compiled


def test_gradients_that_get_lost_end_the_run_before_it_begins(job):
    run = prepared(job("one"))
    blocks = CompiledBlocks(run.base.unet)
    check = (run.task, run.adapter, largest_batch(run.task, 1), run._accelerator.autocast)
    for block in blocks._blocks:
        block._compiled_call_impl = block._call_impl
    before = [parameter.detach().clone() for parameter in run.adapter.parameters()]
    blocks.check(*check)
    assert not any(parameter.grad is not None for parameter in run.adapter.parameters())
    assert all(map(torch.equal, before, run.adapter.parameters()))
    deaf = blocks._blocks[0]
    deaf._compiled_call_impl = lambda *given, **named: deaf._call_impl(*given, **named).detach()
    with pytest.raises(InputError, match=r"other gradients .* Train without compile"):
        blocks.check(*check)


def test_a_gradient_that_is_a_tenth_too_large_is_found_where_the_adapter_begins_at_zero(job):
    run = prepared(job("one"))
    blocks = CompiledBlocks(run.base.unet)
    downs = [path for path in run.adapter._layers if ".to_q" in path[1]]
    layer = run.adapter._layers[downs[0]].lora_A["hps"]
    for block in blocks._blocks:
        block._compiled_call_impl = block._call_impl
    off, is_plain = blocks.off, []

    @contextmanager
    def told():
        is_plain.append(True)
        with off():
            yield
        is_plain.clear()

    blocks.off = told
    handle = layer.weight.register_hook(lambda gradient: gradient if is_plain else 1.1 * gradient)
    with pytest.raises(InputError, match="in 1 of"):
        blocks.check(run.task, run.adapter, largest_batch(run.task, 1), run._accelerator.autocast)
    handle.remove()


def test_without_a_compiler_one_sentence_says_so():
    def backend(graph, inputs):
        raise RuntimeError("no compiler here")

    broken = torch.compile(lambda x: x + 1, backend=backend)
    with pytest.raises(InputError, match=r"torch\.compile does not work here .* train without compile"), explained():
        broken(torch.ones(2))
