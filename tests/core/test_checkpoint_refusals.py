"""Weight files that cannot be used are refused in one sentence, and no code of theirs runs."""

from __future__ import annotations

import os
import pickle
import random
from contextlib import suppress

import pytest

torch = pytest.importorskip("torch")
safetensors = pytest.importorskip("safetensors.torch")

from clip_layouts import TEXT, transformers_layout  # noqa: E402

from lib_hps.errors import WeightsError  # noqa: E402
from lib_hps.scoring.checkpoints import load_clip, read_header, read_state_dict  # noqa: E402
from lib_hps.scoring.clip.config import ClipConfig, VisionConfig  # noqa: E402


class Evil:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (str(self.path),))


@pytest.mark.parametrize("kind", ["zip", "old", "plain pickle"])
def test_a_pickle_with_code_is_refused_and_does_not_run(tmp_path, kind):
    path, trace = tmp_path / "evil.pt", tmp_path / "trace"
    if kind == "plain pickle":
        path.write_bytes(pickle.dumps({"state_dict": Evil(trace)}))
    else:
        torch.save({"state_dict": Evil(trace)}, path, _use_new_zipfile_serialization=kind == "zip")
    with pytest.raises(WeightsError, match=r"evil\.pt (holds .*mkdir.*run code|is damaged, or holds more)"):
        read_state_dict(path)
    assert not trace.exists()


def test_torchscript_is_refused_with_what_to_use_instead(tmp_path):
    torch.jit.trace(torch.nn.Linear(2, 2), torch.ones(1, 2)).save(tmp_path / "ViT-L-14.pt")
    with pytest.raises(WeightsError, match=r"TorchScript.*safetensors"):
        read_state_dict(tmp_path / "ViT-L-14.pt")


NO_WEIGHTS = {
    "empty": (b"", "is empty"),
    "lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 9\n", "Git LFS pointer"),
    "html": (b"\n<!DOCTYPE html><html>Sign in</html>", "web page"),
    "words": (b"Access to model x/y is restricted.", "neither safetensors nor|no complete safetensors|damaged"),
    "json": (b'{"error":"Repository not found"}', "neither safetensors nor|damaged"),
    "noise": (random.Random(0).randbytes(5000), "neither safetensors nor|damaged"),
    "short": (b"PK", "damaged"),
}


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("content", NO_WEIGHTS)
def test_what_was_saved_instead_of_weights_is_named(tmp_path, content, suffix):
    path = tmp_path / f"w{suffix}"
    path.write_bytes(NO_WEIGHTS[content][0])
    for read in (read_state_dict, read_header):
        with pytest.raises(WeightsError, match=NO_WEIGHTS[content][1]) as caught:
            read(path)
        assert str(path) in str(caught.value)


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    for path in (tmp_path / "none.pt", tmp_path):
        with pytest.raises(WeightsError, match="Cannot read"):
            read_state_dict(path)


@pytest.mark.parametrize("kind", ["good.pt", "good.safetensors", "old.pth"])
def test_damaged_files_are_refused_wherever_they_were_cut_or_changed(weight_files, clip_state, kind):
    path = weight_files / kind
    if kind == "old.pth":
        torch.save(clip_state, path, _use_new_zipfile_serialization=False)
    data = path.read_bytes()
    rng = random.Random(0)
    for cut in [*range(1, 20), *(rng.randrange(20, len(data)) for _ in range(40)), len(data) - 1]:
        path.write_bytes(data[:cut])
        with pytest.raises(WeightsError):
            read_state_dict(path)
    for _ in range(60):  # a changed byte may also be a changed weight, which no reader can see
        place = rng.randrange(min(len(data), 4000))
        path.write_bytes(data[:place] + bytes([rng.randrange(256)]) + data[place + 1 :])
        with suppress(WeightsError):
            read_state_dict(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([1, 2], "a list"),
        (torch.ones(2), "a Tensor"),
        ({"epoch": 3}, "'epoch' is a int"),
        ({"state_dict": {}}, "no tensors"),
    ],
)
def test_a_pickle_without_a_state_dict_is_refused(tmp_path, content, words):
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(WeightsError, match=words):
        read_state_dict(tmp_path / "w.pt")


def test_a_checkpoint_of_another_architecture_names_keys_and_shapes(weight_files, tmp_path, clip_state):
    expected = ClipConfig(
        embed_dim=32,
        vision=VisionConfig(image_size=16, width=128, layers=3, heads=2, patch_size=8, mlp_width=128),
        text=TEXT,
    )
    with pytest.raises(WeightsError) as caught:
        load_clip(weight_files / "good.pt", quick_gelu=False, config=expected)
    message = str(caught.value)
    assert "12 missing: visual.transformer.resblocks.2.ln_1.weight" in message
    assert "visual.class_embedding (64,) instead of (128,)" in message
    extra = clip_state | {"logit_bias": torch.zeros(())}
    torch.save(extra, tmp_path / "siglip.pt")
    with pytest.raises(WeightsError, match="1 unexpected: logit_bias"):
        load_clip(tmp_path / "siglip.pt", quick_gelu=False)
    torch.save({"weight": torch.ones(1, 4), "bias": torch.ones(1)}, tmp_path / "head.pth")
    with pytest.raises(WeightsError, match=r"head\.pth is not a CLIP.*It has weight, bias"):
        load_clip(tmp_path / "head.pth", quick_gelu=False)
    theirs = transformers_layout(clip_state)
    del theirs["vision_model.encoder.layers.1.self_attn.k_proj.bias"]
    torch.save(theirs, tmp_path / "partial.bin")
    with pytest.raises(WeightsError, match=r"layers\.1\.self_attn\.k_proj\.bias"):
        load_clip(tmp_path / "partial.bin", quick_gelu=False)


def test_a_host_that_replaces_torch_load_does_not_reach_our_reading(weight_files, monkeypatch):
    expected, _ = read_state_dict(weight_files / "good.pt")
    # the WebUI's own torch.load prints and returns None where it refuses a file
    monkeypatch.setattr(torch, "load", lambda *args, **kwargs: None)
    read, _ = read_state_dict(weight_files / "good.pt")
    assert set(read) == set(expected)
    assert all(torch.equal(read[key], expected[key]) for key in expected)
