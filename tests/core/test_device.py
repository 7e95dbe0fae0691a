"""Choosing a device, halving batches, falling back, moving off the GPU, remembering text features."""

from __future__ import annotations

import logging

import pytest
import torch
from torch import nn

from lib_hps.errors import HpsError, InputError
from lib_hps.scoring.device import cpu_computes_bf16, is_out_of_memory, resolve_device, resolve_dtype
from lib_hps.scoring.features import FeatureCache
from lib_hps.scoring.slot import ModelSlot

ROWS = torch.arange(12.0).view(6, 2)


class Doubler(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(2.0))


def make_slot(**options: object) -> ModelSlot[Doubler]:
    def load(device: torch.device, dtype: torch.dtype) -> Doubler:
        return Doubler().to(device, dtype)

    return ModelSlot(load, **{"device": "cpu", "dtype": "auto", "name": "doubler", **options})  # type: ignore[arg-type]


def double(model: Doubler, rows: torch.Tensor) -> torch.Tensor:
    return rows * model.factor


def fits(limit: int):
    """As `double`, but with CUDA's own error for more than `limit` rows."""
    sizes: list[int] = []

    def function(model: Doubler, rows: torch.Tensor) -> torch.Tensor:
        if len(rows) > limit:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        sizes.append(len(rows))
        return double(model, rows)

    return function, sizes


def test_auto_takes_a_device_that_is_here() -> None:
    expected = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    assert resolve_device("auto").type == expected


@pytest.mark.parametrize("device", ["gpu", "cuda:99", "", "cpu:x"])
def test_a_device_that_is_not_here_is_refused(device: str) -> None:
    with pytest.raises(InputError):
        resolve_device(device)


def test_precision_is_full_on_the_cpu_and_as_asked_elsewhere() -> None:
    cpu = torch.device("cpu")
    assert resolve_dtype("auto", cpu) is torch.float32
    assert resolve_dtype("bf16", cpu) is torch.bfloat16
    assert resolve_dtype("float16", cpu) is torch.float16
    assert resolve_dtype(torch.bfloat16, cpu) is torch.bfloat16
    for wrong in ("int8", torch.int8, "half precision"):
        with pytest.raises(InputError, match="dtype"):
            resolve_dtype(wrong, cpu)


def test_large_models_run_in_bf16_on_a_cpu_that_has_instructions_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = torch.device("cpu")
    half = torch.bfloat16 if cpu_computes_bf16() else torch.float32
    assert resolve_dtype("auto", cpu, is_large=True) is half
    assert resolve_dtype("fp32", cpu, is_large=True) is torch.float32
    # what older versions of PyTorch do not have they cannot tell
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.delattr(torch.cpu, name, raising=False)
    assert resolve_dtype("auto", cpu, is_large=True) is torch.float32


def test_out_of_memory_is_told_from_other_errors() -> None:
    assert is_out_of_memory(torch.cuda.OutOfMemoryError("x"))
    assert is_out_of_memory(RuntimeError("MPS backend out of memory (MPS allocated: 9.1 GB)"))
    assert is_out_of_memory(RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"))
    assert not is_out_of_memory(RuntimeError("shape mismatch"))
    assert not is_out_of_memory(ValueError("out of memory"))


def test_a_model_is_loaded_at_its_first_use_once() -> None:
    loads = []

    def load(device: torch.device, dtype: torch.dtype) -> Doubler:
        loads.append((device.type, dtype))
        return Doubler()

    slot = ModelSlot(load, device="cpu", dtype="auto")
    assert not slot.is_loaded
    slot.run(double, ROWS)
    slot.run(double, ROWS)
    assert loads == [("cpu", torch.float32)]
    slot.unload()
    assert slot.is_loaded
    slot.unload(drop=True)
    assert not slot.is_loaded
    torch.testing.assert_close(slot.run(double, ROWS), ROWS * 2)
    assert len(loads) == 2


def test_rows_are_run_in_batches_and_come_back_in_order() -> None:
    function, sizes = fits(100)
    torch.testing.assert_close(make_slot(batch_size=4).run(function, ROWS), ROWS * 2)
    assert sizes == [4, 2]


def test_a_batch_that_does_not_fit_is_halved_and_stays_so(caplog: pytest.LogCaptureFixture) -> None:
    function, sizes = fits(2)
    slot = make_slot(batch_size=6)
    with caplog.at_level(logging.WARNING):
        torch.testing.assert_close(slot.run(function, ROWS), ROWS * 2)
    assert sizes == [1] * 6  # 6, then 3, then 1
    assert slot.batch_size == 1
    assert "going on with 3" in caplog.text
    slot.run(function, ROWS)
    assert len(sizes) == 12


def test_where_not_even_one_row_fits_the_gpu_the_cpu_goes_on(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    # there is no GPU in most test machines: the meta device stands for one whose memory is full
    places = []

    def load(device: torch.device, dtype: torch.dtype) -> Doubler:
        places.append(device.type)
        if device.type != "cpu":
            raise torch.cuda.OutOfMemoryError("CUDA out of memory.")
        return Doubler().to(device, dtype)

    slot = ModelSlot(load, device="meta", dtype="fp16", name="doubler")
    with caplog.at_level(logging.WARNING):
        torch.testing.assert_close(slot.run(double, ROWS), ROWS * 2)
    assert places == ["meta", "cpu"]
    assert slot.dtype is torch.float32
    assert "going on on the CPU" in caplog.text


def test_a_forward_pass_that_never_fits_the_gpu_goes_on_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    def function(model: Doubler, rows: torch.Tensor) -> torch.Tensor:
        if rows.device.type == "meta":
            raise RuntimeError("HIP out of memory")
        return double(model, rows)

    slot, model = make_slot(device="meta", batch_size=4), Doubler()
    monkeypatch.setattr(slot, "get", lambda: model)  # moved to the meta device the weights would be lost
    torch.testing.assert_close(slot.run(function, ROWS), ROWS * 2)
    assert slot.device.type == "cpu"


def test_where_one_row_does_not_fit_the_cpu_either_the_error_says_so() -> None:
    function, _ = fits(0)
    with pytest.raises(HpsError, match="not even one picture fits"):
        make_slot(batch_size=2).run(function, ROWS)


def test_other_errors_pass_through() -> None:
    def function(model: Doubler, rows: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("shape mismatch")

    with pytest.raises(RuntimeError, match="shape mismatch"):
        make_slot().run(function, ROWS)


@pytest.mark.parametrize("batch_size", [0, -3])
def test_a_batch_of_nothing_is_refused(batch_size: int) -> None:
    with pytest.raises(InputError, match="batch_size"):
        make_slot(batch_size=batch_size)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_on_a_gpu_unload_gives_the_memory_back_and_the_next_use_returns() -> None:
    slot = ModelSlot(lambda device, dtype: nn.Linear(2048, 2048).to(device, dtype), device="cuda", dtype="auto")
    rows = torch.randn(4, 2048, dtype=slot.dtype)
    before = slot.run(lambda model, x: model(x), rows)
    held = torch.cuda.memory_allocated()
    slot.unload()
    assert torch.cuda.memory_allocated() < held
    torch.testing.assert_close(slot.run(lambda model, x: model(x), rows), before)


def test_the_least_recently_used_features_go_first() -> None:
    cache = FeatureCache(capacity=2)
    cache.put("a", torch.zeros(1))
    cache.put("b", torch.ones(1))
    assert cache.get("a") is not None
    cache.put("c", torch.ones(1))
    assert cache.get("b") is None
    assert cache.get("a") is not None
    assert len(cache) == 2
    cache.clear()
    assert len(cache) == 0
