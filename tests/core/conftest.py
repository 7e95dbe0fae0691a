"""What tests share: a folder, a torch file and a hub on this machine for tests of weights; a board with its client."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from hub_server import HubServer
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from board_client import Board


# the same examples every time, on a busy machine too, as Hypothesis itself does where CI is set
settings.register_profile("fixed", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("fixed")


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A real torch file of some 2 MB."""
    path = tmp_path_factory.mktemp("weights") / "w.pt"
    torch.save({"state_dict": {"weight": torch.rand(500_000, generator=torch.Generator().manual_seed(0))}}, path)
    return path.read_bytes()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty weights folder, with nothing in any cache, and no way to the real hub."""
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HPS_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    pytest.importorskip("huggingface_hub")
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):  # before and since 0.18
        for module in ("huggingface_hub.constants", "huggingface_hub.file_download"):
            monkeypatch.setattr(f"{module}.{name}", str(tmp_path / "hub"), raising=False)
    (tmp_path / "models").mkdir()
    return tmp_path / "models"


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch):
    servers: list[HubServer] = []

    def start(content: bytes, **options: object) -> HubServer:
        servers.append(HubServer(content, **options))  # type: ignore[arg-type]
        monkeypatch.setenv("HF_ENDPOINT", servers[-1].url)
        return servers[-1]

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def clip_model():
    from clip_layouts import CONFIG

    from lib_hps.scoring.clip.model import build

    return build(CONFIG, seed=0).eval()


@pytest.fixture(scope="module")
def clip_state(clip_model):
    return {name: tensor.clone() for name, tensor in clip_model.state_dict().items()}


@pytest.fixture
def weight_files(tmp_path, clip_state):
    """The same weights as a zip pickle and as safetensors."""
    import safetensors.torch
    import torch

    torch.save({"state_dict": clip_state, "epoch": 3, "name": "first try"}, tmp_path / "good.pt")
    safetensors.torch.save_file(clip_state, tmp_path / "good.safetensors", metadata={"licence": "MIT"})
    return tmp_path


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Board]:
    """A client of a board with a host that paints at once."""
    from board_client import Board

    made = Board(tmp_path)
    yield made
    made.host.gate.set()
    made.service.close()
