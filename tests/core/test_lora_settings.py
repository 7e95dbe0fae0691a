"""The LoRA trainer's settings, and the optimisers that need packages of their own."""

import importlib.util

import pytest

torch = pytest.importorskip("torch")

from lib_hps.errors import InputError  # noqa: E402
from lib_hps.training.config import build, to_toml  # noqa: E402
from lib_hps.training.lora.config import LoraSettings  # noqa: E402
from lib_hps.training.optimizers import make_optimizer  # noqa: E402

OPTIMISERS = {"adamw8bit": ("bitsandbytes", "AdamW8bit"), "prodigy": ("prodigyopt", "Prodigy")}


@pytest.mark.parametrize("name", list(OPTIMISERS))
def test_an_optimiser_that_is_not_installed_is_refused_with_its_package(name):
    package, _ = OPTIMISERS[name]
    if importlib.util.find_spec(package) is not None:
        pytest.skip(f"{package} is installed")
    with pytest.raises(InputError, match=f"pip install {package}"):
        make_optimizer(name, [torch.nn.Parameter(torch.zeros(1))], lr=1, betas=(0.9, 0.999), weight_decay=0)


@pytest.mark.parametrize("name", list(OPTIMISERS))
def test_an_optimiser_that_is_installed_is_used(name):
    package, kind = OPTIMISERS[name]
    pytest.importorskip(package)
    device = "cuda" if name == "adamw8bit" and torch.cuda.is_available() else "cpu"
    parameter = torch.nn.Parameter(torch.ones(64, 128, device=device))
    optimizer = make_optimizer(name, [parameter], lr=0.1, betas=(0.9, 0.999), weight_decay=0)
    assert type(optimizer).__name__ == kind
    before = float((parameter**2).sum())
    for _ in range(20):
        optimizer.zero_grad()
        (parameter**2).sum().backward()
        optimizer.step()
    assert float((parameter**2).sum()) < before


@pytest.mark.parametrize(
    "values", [{"rank": 0}, {"ratio": "1:2"}, {"targets": "everything"}, {"beta": -1.0}, {"steps": 0}, {"ema": 1.0}]
)
def test_settings_out_of_range_are_named(values):
    with pytest.raises(InputError, match=next(iter(values))):
        build(LoraSettings, values)


def test_settings_go_through_toml(tmp_path):
    from lib_hps.training.config import read_toml

    settings = LoraSettings(objective="dpo", steps=7, lr=1e-3, targets="attention,conv")
    (tmp_path / "a.toml").write_text(to_toml(settings))
    assert build(LoraSettings, read_toml(tmp_path / "a.toml")) == settings
