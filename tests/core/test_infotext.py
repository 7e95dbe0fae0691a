"""Infotexts survive writing and reading; pictures of other tools are understood; damage is one kind of error."""

import contextlib
import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from lib_hps.errors import InputError
from lib_hps.infotext import exif_bytes, format_infotext, parse_infotext, png_info, read_generation

A1111 = (
    "a cat, (masterpiece:1.2) <lora:x:1>\nNegative prompt: blurry, bad\n"
    "Steps: 20, Sampler: DDIM, CFG scale: 7, Seed: 1, Size: 64x64, "
    'Lora hashes: "x: 0123, y: 4567", HPS rank: 2/8, Version: v1.10.1'
)
line = st.text(st.characters(blacklist_categories=["Cs", "Cc"]), max_size=40).map(str.strip)
prompts = (
    st.lists(line, max_size=3).map(lambda lines: "\n".join(lines).strip()).filter(lambda t: "Negative prompt:" not in t)
)
keys = st.from_regex(r"[A-Za-z][A-Za-z0-9 \-/]{0,12}[A-Za-z0-9]", fullmatch=True)
values = st.text(st.characters(blacklist_categories=["Cs"]), max_size=30) | st.integers() | st.floats(allow_nan=False)


@given(prompts, prompts, st.dictionaries(keys, values, min_size=3, max_size=8))
@settings(max_examples=300, deadline=None)
def test_what_is_written_is_read_back(prompt, negative, parameters):
    found = parse_infotext(format_infotext(prompt, negative=negative, settings=parameters))
    assert (found.prompt, found.negative) == (prompt, negative)
    assert found.settings == {key: str(value) for key, value in parameters.items()}


def test_an_a1111_infotext_is_reproduced_to_the_letter():
    found = parse_infotext(A1111)
    assert found.settings["Lora hashes"] == "x: 0123, y: 4567"
    assert found.settings["HPS rank"] == "2/8"
    assert format_infotext(found.prompt, negative=found.negative, settings=found.settings) == A1111


def test_none_leaves_a_parameter_out_and_a_bad_key_is_refused():
    assert format_infotext("p", settings={"Steps": 1, "Model": None}) == "p\nSteps: 1"
    for key in ("x", "a:b", "a, b", "", " ab"):
        with pytest.raises(InputError, match="infotext key"):
            format_infotext("p", settings={key: 1})


def test_a_line_that_another_tool_added_below_the_settings_does_not_hide_them():
    assert parse_infotext(A1111 + "\nTemplate: a __animal__").settings["Seed"] == "1"


@pytest.mark.parametrize(
    "text", [A1111, "猫、宇宙\nSteps: 3, Sampler: Euler a, CFG scale: 7", "naïve 🐱\nSteps: 1, Seed: 2, Size: 8x8"]
)
@pytest.mark.parametrize("suffix", ["png", "jpg", "webp"])
def test_a_picture_saved_as_the_webui_does_says_how_it_was_made(tmp_path, text, suffix):
    path = tmp_path / f"x.{suffix}"
    Image.new("RGB", (8, 8)).save(
        path, **({"pnginfo": png_info(text)} if suffix == "png" else {"exif": exif_bytes(text)})
    )
    found = read_generation(path)
    assert found is not None
    assert found.source == "a1111"
    assert format_infotext(found.prompt, negative=found.negative, settings=found.settings) == text


def test_a_little_endian_user_comment_is_read_too(tmp_path):
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9286] = b"UNICODE\0" + A1111.encode("utf-16-le")
    Image.new("RGB", (8, 8)).save(tmp_path / "x.jpg", exif=exif)
    assert read_generation(tmp_path / "x.jpg").settings["Sampler"] == "DDIM"


def png(tmp_path, **texts):
    info = PngImagePlugin.PngInfo()
    for key, value in texts.items():
        info.add_text(key, value)
    path = tmp_path / "x.png"
    Image.new("RGB", (8, 8)).save(path, pnginfo=info)
    return path


GRAPH = {
    "3": {
        "class_type": "KSampler",
        "inputs": {
            "seed": ["9", 0],
            "steps": 20,
            "cfg": 8.0,
            "sampler_name": "euler",
            "scheduler": "normal",
            "positive": ["11", 0],
            "negative": ["11", 1],
            "model": ["4", 0],
            "latent_image": ["5", 0],
        },
    },
    "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "x.safetensors"}},
    "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 64}},
    "6": {"class_type": "CLIPTextEncode", "inputs": {"text": ["10", 0], "clip": ["4", 1]}},
    "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "ugly", "clip": ["4", 1]}},
    "8": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0]}},
    "9": {"class_type": "PrimitiveInt", "inputs": {"value": 77}},
    "10": {"class_type": "PrimitiveString", "inputs": {"value": "a fox"}},
    "11": {"class_type": "ControlNetApplyAdvanced", "inputs": {"positive": ["6", 0], "negative": ["7", 0]}},
    "12": {"class_type": "SaveImage", "inputs": {"images": ["8", 0]}},
}


def test_a_comfyui_graph_is_followed_through_links_and_control_nodes(tmp_path):
    found = read_generation(png(tmp_path, prompt=json.dumps(GRAPH), workflow="{}"))
    assert (found.prompt, found.negative, found.source) == ("a fox", "ugly", "comfyui")
    assert found.settings["Seed"] == "77"
    assert found.settings["Sampler"] == "euler"


def test_a_comfyui_custom_sampler_is_followed_through_its_guider(tmp_path):
    graph = {
        "1": {"class_type": "SamplerCustomAdvanced", "inputs": {"guider": ["2", 0], "noise": ["4", 0]}},
        "2": {"class_type": "BasicGuider", "inputs": {"conditioning": ["3", 0]}},
        "3": {"class_type": "CLIPTextEncode", "inputs": {"text": "a whale"}},
        "4": {"class_type": "RandomNoise", "inputs": {"noise_seed": 5}},
    }
    found = read_generation(png(tmp_path, prompt=json.dumps(graph)))
    assert (found.prompt, found.settings["Seed"]) == ("a whale", "5")


def test_a_cyclic_comfyui_graph_ends(tmp_path):
    loop = {
        "1": {"class_type": "KSampler", "inputs": {"positive": ["2", 0]}},
        "2": {"class_type": "A", "inputs": {"a": ["2", 0], "b": ["1", 0]}},
    }
    assert read_generation(png(tmp_path, prompt=json.dumps(loop))) is None


def test_a_novelai_picture_is_read(tmp_path):
    comment = json.dumps({"uc": "lowres", "steps": 28, "sampler": "k_euler", "scale": 11.0, "seed": 4})
    found = read_generation(png(tmp_path, Software="NovelAI", Description="1girl", Comment=comment))
    assert (found.prompt, found.negative, found.settings["Steps"], found.source) == ("1girl", "lowres", "28", "novelai")


def test_a_plain_exif_description_is_the_prompt(tmp_path):
    exif = Image.Exif()
    exif[0x010E] = "a lighthouse at night"
    Image.new("RGB", (8, 8)).save(tmp_path / "x.jpg", exif=exif)
    found = read_generation(tmp_path / "x.jpg")
    assert (found.prompt, found.source) == ("a lighthouse at night", "exif")


def test_a_picture_that_says_nothing_gives_none(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "x.png")
    assert read_generation(tmp_path / "x.png") is None
    assert read_generation(png(tmp_path, prompt="[" * 100_000)) is None
    assert read_generation(png(tmp_path, prompt='{"1": 3, "2": {"class_type": 4}}', Comment="{}")) is None


def test_what_is_no_picture_is_an_input_error(tmp_path):
    (tmp_path / "x.png").write_bytes(b"")
    for path in (tmp_path / "x.png", tmp_path / "none.png", tmp_path):
        with pytest.raises(InputError):
            read_generation(path)


def _samples() -> list[bytes]:
    made = []
    for kind, extra in (
        ("PNG", {"pnginfo": png_info(A1111)}),
        ("JPEG", {"exif": exif_bytes(A1111)}),
        ("WEBP", {"exif": exif_bytes(A1111)}),
    ):
        stream = io.BytesIO()
        Image.new("RGB", (8, 8)).save(stream, kind, **extra)
        made.append(stream.getvalue())
    return made


SAMPLES = _samples()


@given(st.sampled_from(SAMPLES), st.data())
@settings(max_examples=400, deadline=None)
def test_damaged_pictures_raise_nothing_but_input_errors(tmp_path_factory, raw, data):
    damaged = bytearray(raw)
    for _ in range(data.draw(st.integers(1, 8))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged.bin"
    path.write_bytes(damaged[: data.draw(st.integers(1, len(damaged)))])
    with contextlib.suppress(InputError):
        read_generation(path)
