"""Weight files: every published layout loads to the same features."""

from __future__ import annotations

import os

import pytest

torch = pytest.importorskip("torch")
safetensors = pytest.importorskip("safetensors.torch")

from clip_layouts import LAYOUTS, WIDE, transformers_layout  # noqa: E402

from lib_hps.errors import WeightsError  # noqa: E402
from lib_hps.scoring.checkpoints import load_clip, read_header, read_state_dict, to_open_clip_layout  # noqa: E402
from lib_hps.scoring.clip.config import CONFIG_KEY  # noqa: E402
from lib_hps.scoring.clip.model import build  # noqa: E402


def features(model):
    pixels = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        return model.encode_image(pixels), model.encode_text(torch.tensor([[5, 7, 519, 0]]))


def assert_same(loaded, model):
    for got, wanted in zip(features(loaded), features(model), strict=True):
        torch.testing.assert_close(got, wanted)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("wrapped", [False, True])
def test_every_published_layout_loads_to_the_same_features(tmp_path, clip_model, clip_state, layout, wrapped):
    theirs = LAYOUTS[layout](clip_state)
    torch.save({"state_dict": theirs} if wrapped else theirs, tmp_path / "w.pt")
    assert_same(load_clip(tmp_path / "w.pt", quick_gelu=False), clip_model)
    safetensors.save_file(theirs, tmp_path / "w.safetensors")
    assert_same(load_clip(tmp_path / "w.safetensors", quick_gelu=False), clip_model)


def test_a_layout_is_converted_without_changing_the_callers_dict(clip_state):
    theirs = transformers_layout(clip_state)
    before = dict(theirs)
    assert set(to_open_clip_layout(theirs)) == set(clip_state)
    assert theirs.keys() == before.keys()
    assert all(theirs[name] is before[name] for name in before)


def test_old_pickles_without_a_zip_load_too(tmp_path, clip_model, clip_state):
    torch.save({"model": clip_state}, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    assert_same(load_clip(tmp_path / "old.pth", quick_gelu=False), clip_model)


def test_a_wrong_ending_does_no_harm(weight_files, clip_model):
    os.rename(weight_files / "good.safetensors", weight_files / "really_safetensors.pt")
    os.rename(weight_files / "good.pt", weight_files / "really_pickle.safetensors")
    for name in ("really_safetensors.pt", "really_pickle.safetensors"):
        assert_same(load_clip(weight_files / name, quick_gelu=False), clip_model)


def test_the_values_beside_the_weights_are_metadata(weight_files):
    assert read_state_dict(weight_files / "good.pt")[1] == {"epoch": "3", "name": "first try"}
    assert read_state_dict(weight_files / "good.safetensors")[1] == {"licence": "MIT"}


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
def test_the_towers_take_the_asked_dtype_and_logit_scale_keeps_its_digits(weight_files, clip_state, dtype):
    loaded = load_clip(weight_files / "good.safetensors", quick_gelu=False, dtype=dtype)
    assert {p.dtype for n, p in loaded.named_parameters() if n != "logit_scale"} == {dtype}
    assert torch.equal(loaded.logit_scale, clip_state["logit_scale"])
    assert not loaded.training
    assert not [name for name, tensor in loaded.state_dict().items() if tensor.is_meta]


def test_loaded_weights_can_be_trained_and_never_reach_the_file(weight_files, clip_state):
    for name in ("good.pt", "good.safetensors"):
        loaded = load_clip(weight_files / name, quick_gelu=False)
        loaded.encode_image(torch.randn(1, 3, 16, 16)).sum().backward()
        with torch.no_grad():
            for parameter in loaded.visual.parameters():
                parameter -= parameter.grad
        again = read_state_dict(weight_files / name)[0]
        assert all(torch.equal(again[key], clip_state[key]) for key in clip_state)


@pytest.mark.parametrize("name", ["good.pt", "good.safetensors"])
def test_a_header_tells_shapes_and_metadata(weight_files, clip_state, name):
    header = read_header(weight_files / name)
    assert header.shapes == {key: tuple(tensor.shape) for key, tensor in clip_state.items()}
    assert header.size_bytes == (weight_files / name).stat().st_size
    assert header.metadata
    assert header.kind == ("safetensors" if name.endswith("s") else "torch")


def test_a_safetensors_header_of_any_length_is_told_from_a_pickle(tmp_path):
    for length in range(0, 400, 4):  # among them 128, whose first byte is that of a pickle
        safetensors.save_file({"a": torch.ones(2)}, tmp_path / "w.pt", metadata={"x": "y" * length})
        assert torch.equal(read_state_dict(tmp_path / "w.pt")[0]["a"], torch.ones(2))
