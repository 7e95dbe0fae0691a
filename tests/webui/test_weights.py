"""Weight files in the WebUI's process, whose torch.load is not torch's: the right ones score, the others say why."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from webui_runs import NEEDS_SCORER, Run, check_scores
from webui_server import WebUI

from lib_hps.scoring.clip.config import ClipConfig, TextConfig, VisionConfig
from lib_hps.scoring.clip.model import build

pytestmark = NEEDS_SCORER
SMALL = ClipConfig(
    embed_dim=32,
    vision=VisionConfig(image_size=28, width=64, layers=2, heads=1, patch_size=14, mlp_width=128),
    text=TextConfig(vocab_size=49408, context_length=77, width=64, layers=2, heads=1, mlp_width=128),
    quick_gelu=False,
)


@pytest.fixture
def file(webui: WebUI) -> Iterator[Path]:
    """Where the weights of hps-v2.1 belong."""
    path = webui.data / "models" / "HPS" / "HPS_v2.1_compressed.pt"
    path.parent.mkdir(parents=True, exist_ok=True)
    yield path
    path.unlink()
    webui.post("/hps/v1/unload", {})


def state() -> dict[str, torch.Tensor]:
    return {name: tensor.half() for name, tensor in build(SMALL, seed=3).state_dict().items()}


def test_a_pickle_as_hps_is_published_scores(webui: WebUI, file: Path) -> None:
    torch.save({"epoch": 1, "state_dict": state()}, file)
    run = Run(webui, options={"scorer": "hps-v2.1"}, n_iter=2)
    assert run.message == ""
    assert run.scores == sorted(run.scores, reverse=True)
    check_scores(run, scorer=str(file))


class Evil:
    def __reduce__(self):
        return exec, ("raise SystemExit('code of a weight file was run')",)


def write_evil(file: Path) -> None:
    torch.save({"state_dict": Evil()}, file)


def write_other(file: Path) -> None:
    save_file({"model.diffusion_model.out.2.weight": torch.zeros(4, 4)}, file)


def write_half(file: Path) -> None:
    torch.save({"state_dict": state()}, file)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def write_incomplete(file: Path) -> None:
    tensors = state()
    del tensors["text_projection"]
    torch.save(tensors, file)


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (write_evil, "could run code, so it was not loaded"),
        (write_other, "not a plain CLIP model"),
        (write_half, "is half downloaded"),
        (write_incomplete, "text_projection"),
        (lambda file: file.write_bytes(pickle.dumps([1, 2])), "is damaged, or holds more than tensors"),
    ],
    ids=["code", "another model", "half", "incomplete", "no tensors"],
)
def test_a_wrong_file_is_named_and_every_picture_comes(webui: WebUI, file: Path, write, words: str) -> None:
    write(file)
    run = Run(webui, options={"scorer": "hps-v2.1", "keep": 1}, n_iter=1, save_images=True)
    assert run.seeds == [10, 11]
    assert run.settings("HPS") == [None, None]
    assert len(run.files) == 2
    assert file.name in run.message
    assert words in run.message
