"""Weight files: every published layout loads, everything else is refused in one sentence and runs no code."""

from __future__ import annotations

import os
import pickle
import random
from contextlib import suppress

import pytest

torch = pytest.importorskip("torch")
safetensors = pytest.importorskip("safetensors.torch")

from lib_hps.errors import WeightsError  # noqa: E402
from lib_hps.scoring.checkpoints import (  # noqa: E402
    load_clip,
    read_header,
    read_state_dict,
    to_open_clip_layout,
)
from lib_hps.scoring.clip.config import CONFIG_KEY, ClipConfig, TextConfig, VisionConfig  # noqa: E402
from lib_hps.scoring.clip.model import build  # noqa: E402

TEXT = TextConfig(vocab_size=520, context_length=16, width=64, layers=2, heads=1, mlp_width=128)
VISION = VisionConfig(image_size=16, width=64, layers=2, heads=1, patch_size=8, mlp_width=128)
CONFIG = ClipConfig(embed_dim=32, vision=VISION, text=TEXT)
WIDE = ClipConfig(
    embed_dim=32,
    vision=VisionConfig(image_size=16, width=96, layers=2, heads=3, patch_size=8, mlp_width=128),
    text=TEXT,
    quick_gelu=True,
)


@pytest.fixture(scope="module")
def model():
    return build(CONFIG, seed=0).eval()


@pytest.fixture(scope="module")
def state(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


@pytest.fixture
def good(tmp_path, state):
    """The same weights as a zip pickle and as safetensors."""
    torch.save({"state_dict": state, "epoch": 3, "name": "first try"}, tmp_path / "good.pt")
    safetensors.save_file(state, tmp_path / "good.safetensors", metadata={"licence": "MIT"})
    return tmp_path


def features(model):
    pixels = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        return model.encode_image(pixels), model.encode_text(torch.tensor([[5, 7, 519, 0]]))


def assert_same(loaded, model):
    for got, wanted in zip(features(loaded), features(model), strict=True):
        torch.testing.assert_close(got, wanted)


def transformers_layout(state):
    """Ours -> transformers' CLIPModel, written here by hand as the inverse of what is tested."""
    parts = {"ln_1": "layer_norm1", "ln_2": "layer_norm2", "mlp.c_fc": "mlp.fc1", "mlp.c_proj": "mlp.fc2"}
    parts["attn.out_proj"] = "self_attn.out_proj"
    outside = {
        "visual.class_embedding": "vision_model.embeddings.class_embedding",
        "visual.conv1.weight": "vision_model.embeddings.patch_embedding.weight",
        "visual.positional_embedding": "vision_model.embeddings.position_embedding.weight",
        "visual.ln_pre": "vision_model.pre_layrnorm",
        "visual.ln_post": "vision_model.post_layernorm",
        "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
        "ln_final": "text_model.final_layer_norm",
    }
    theirs = {"text_model.embeddings.position_ids": torch.arange(16)[None]}
    for name, tensor in state.items():
        tower = "vision_model" if name.startswith("visual.") else "text_model"
        if name == "logit_scale":
            theirs[name] = tensor
        elif name in ("visual.proj", "text_projection"):
            theirs["visual_projection.weight" if tower == "vision_model" else "text_projection.weight"] = tensor.t()
        elif name == "positional_embedding":
            theirs["text_model.embeddings.position_embedding.weight"] = tensor
        elif "resblocks" in name:
            number, rest = name.split("resblocks.")[1].split(".", 1)
            prefix = f"{tower}.encoder.layers.{number}."
            if "in_proj" in rest:
                for letter, part in zip("qkv", tensor.chunk(3), strict=True):
                    theirs[f"{prefix}self_attn.{letter}_proj.{rest.rpartition('_')[2]}"] = part
            else:
                part, _, kind = rest.rpartition(".")
                theirs[f"{prefix}{parts[part]}.{kind}"] = tensor
        else:
            key = next(key for key in outside if name.startswith(key))
            theirs[outside[key] + name[len(key) :]] = tensor
    return {name: tensor.contiguous() for name, tensor in theirs.items()}


def text_apart(state):
    own = ("visual.", "logit_scale")
    return {name if name.startswith(own) else f"text.{name}": tensor for name, tensor in state.items()}


def openai_layout(state):
    numbers = {
        "input_resolution": torch.tensor(16),
        "context_length": torch.tensor(16),
        "vocab_size": torch.tensor(520),
    }
    return state | numbers


LAYOUTS = {
    "open_clip": lambda state: state,
    "text_apart": text_apart,
    "openai": openai_layout,
    "transformers": transformers_layout,
    "data_parallel": lambda state: {f"module.{name}": tensor for name, tensor in state.items()},
    "scale_as_a_vector": lambda state: state | {"logit_scale": state["logit_scale"].reshape(1)},
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("wrapped", [False, True])
def test_every_published_layout_loads_to_the_same_features(tmp_path, model, state, layout, wrapped):
    theirs = LAYOUTS[layout](state)
    torch.save({"state_dict": theirs} if wrapped else theirs, tmp_path / "w.pt")
    assert_same(load_clip(tmp_path / "w.pt", quick_gelu=False), model)
    safetensors.save_file(theirs, tmp_path / "w.safetensors")
    assert_same(load_clip(tmp_path / "w.safetensors", quick_gelu=False), model)


def test_a_layout_is_converted_without_changing_the_callers_dict(state):
    theirs = transformers_layout(state)
    before = dict(theirs)
    assert set(to_open_clip_layout(theirs)) == set(state)
    assert theirs.keys() == before.keys()
    assert all(theirs[name] is before[name] for name in before)


def test_old_pickles_without_a_zip_load_too(tmp_path, model, state):
    torch.save({"model": state}, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    assert_same(load_clip(tmp_path / "old.pth", quick_gelu=False), model)


def test_a_wrong_ending_does_no_harm(good, model):
    os.rename(good / "good.safetensors", good / "really_safetensors.pt")
    os.rename(good / "good.pt", good / "really_pickle.safetensors")
    for name in ("really_safetensors.pt", "really_pickle.safetensors"):
        assert_same(load_clip(good / name, quick_gelu=False), model)


def test_the_values_beside_the_weights_are_metadata(good):
    assert read_state_dict(good / "good.pt")[1] == {"epoch": "3", "name": "first try"}
    assert read_state_dict(good / "good.safetensors")[1] == {"licence": "MIT"}


def test_a_file_that_states_its_configuration_needs_no_guess(tmp_path):
    model = build(WIDE, seed=0).eval()
    safetensors.save_file(model.state_dict(), tmp_path / "plain.safetensors")
    with pytest.raises(WeightsError, match="head_width"):
        load_clip(tmp_path / "plain.safetensors", quick_gelu=False)
    safetensors.save_file(model.state_dict(), tmp_path / "said.safetensors", metadata={CONFIG_KEY: WIDE.to_json()})
    torch.save({"state_dict": model.state_dict(), CONFIG_KEY: WIDE.to_json()}, tmp_path / "said.pt")
    for name in ("said.safetensors", "said.pt"):
        loaded = load_clip(tmp_path / name, quick_gelu=False)
        assert loaded.config == WIDE
        assert_same(loaded, model)
    safetensors.save_file(model.state_dict(), tmp_path / "nonsense.safetensors", metadata={CONFIG_KEY: "{}"})
    with pytest.raises(WeightsError, match=r"nonsense\.safetensors.*hps_config"):
        load_clip(tmp_path / "nonsense.safetensors", quick_gelu=False)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_the_towers_take_the_asked_dtype_and_logit_scale_keeps_its_digits(good, state, dtype):
    loaded = load_clip(good / "good.safetensors", quick_gelu=False, dtype=dtype)
    assert {p.dtype for n, p in loaded.named_parameters() if n != "logit_scale"} == {dtype}
    assert torch.equal(loaded.logit_scale, state["logit_scale"])
    assert not loaded.training
    assert not [name for name, tensor in loaded.state_dict().items() if tensor.is_meta]


def test_loaded_weights_can_be_trained_and_never_reach_the_file(good, state):
    for name in ("good.pt", "good.safetensors"):
        loaded = load_clip(good / name, quick_gelu=False)
        loaded.encode_image(torch.randn(1, 3, 16, 16)).sum().backward()
        with torch.no_grad():
            for parameter in loaded.visual.parameters():
                parameter -= parameter.grad
        again = read_state_dict(good / name)[0]
        assert all(torch.equal(again[key], state[key]) for key in state)


@pytest.mark.parametrize("name", ["good.pt", "good.safetensors"])
def test_a_header_tells_shapes_and_metadata(good, state, name):
    header = read_header(good / name)
    assert header.shapes == {key: tuple(tensor.shape) for key, tensor in state.items()}
    assert header.size_bytes == (good / name).stat().st_size
    assert header.metadata
    assert header.kind == ("safetensors" if name.endswith("s") else "torch")


def test_a_safetensors_header_of_any_length_is_told_from_a_pickle(tmp_path):
    for length in range(0, 400, 4):  # among them 128, whose first byte is that of a pickle
        safetensors.save_file({"a": torch.ones(2)}, tmp_path / "w.pt", metadata={"x": "y" * length})
        assert torch.equal(read_state_dict(tmp_path / "w.pt")[0]["a"], torch.ones(2))


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
def test_damaged_files_are_refused_wherever_they_were_cut_or_changed(good, state, kind):
    path = good / kind
    if kind == "old.pth":
        torch.save(state, path, _use_new_zipfile_serialization=False)
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


def test_a_checkpoint_of_another_architecture_names_keys_and_shapes(good, tmp_path, state):
    expected = ClipConfig(
        embed_dim=32,
        vision=VisionConfig(image_size=16, width=128, layers=3, heads=2, patch_size=8, mlp_width=128),
        text=TEXT,
    )
    with pytest.raises(WeightsError) as caught:
        load_clip(good / "good.pt", quick_gelu=False, config=expected)
    message = str(caught.value)
    assert "12 missing: visual.transformer.resblocks.2.ln_1.weight" in message
    assert "visual.class_embedding (64,) instead of (128,)" in message
    extra = state | {"logit_bias": torch.zeros(())}
    torch.save(extra, tmp_path / "siglip.pt")
    with pytest.raises(WeightsError, match="1 unexpected: logit_bias"):
        load_clip(tmp_path / "siglip.pt", quick_gelu=False)
    torch.save({"weight": torch.ones(1, 4), "bias": torch.ones(1)}, tmp_path / "head.pth")
    with pytest.raises(WeightsError, match=r"head\.pth is not a CLIP.*It has weight, bias"):
        load_clip(tmp_path / "head.pth", quick_gelu=False)
    theirs = transformers_layout(state)
    del theirs["vision_model.encoder.layers.1.self_attn.k_proj.bias"]
    torch.save(theirs, tmp_path / "partial.bin")
    with pytest.raises(WeightsError, match=r"layers\.1\.self_attn\.k_proj\.bias"):
        load_clip(tmp_path / "partial.bin", quick_gelu=False)


def test_a_host_that_replaces_torch_load_and_returns_nothing_is_noticed(good, monkeypatch):
    # the WebUI's own torch.load prints and returns None where it refuses a file
    monkeypatch.setattr(torch, "load", lambda *args, **kwargs: None)
    with pytest.raises(WeightsError, match=r"good\.pt"):
        read_state_dict(good / "good.pt")
