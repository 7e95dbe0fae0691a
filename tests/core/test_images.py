"""Opening whatever calls itself a picture, and making it square."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lib_hps.errors import InputError
from lib_hps.scoring.images import MAX_PIXELS, Mode, Preprocess, open_image

MODES: list[Mode] = ["crop", "crop-floor", "pad"]


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def png_bytes(image: Image.Image, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "PNG", **options)  # type: ignore[arg-type]
    return stream.getvalue()


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds no pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def pixel(path: Path, x: int = 0, y: int = 0) -> tuple[int, ...]:
    image = open_image(path)
    assert image.mode == "RGB"
    return image.getpixel((x, y))  # type: ignore[return-value]


# refused


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "gif"])
def test_a_truncated_file_is_refused_by_name(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"half.{suffix}"
    noise(64, 64).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match=rf"half\.{suffix}"):
        open_image(path)


@given(st.integers(0, 1400))
@settings(deadline=None, max_examples=30)
def test_a_png_cut_anywhere_is_refused_and_never_crashes(length: int) -> None:
    import tempfile

    data = png_bytes(noise(20, 20))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cut.png"
        path.write_bytes(data[: min(length, len(data) - 30)])
        with pytest.raises(InputError, match=r"cut\.png"):
            open_image(path)


def test_a_zero_byte_file_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "none.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"none\.png is empty"):
        open_image(tmp_path / "none.png")


@pytest.mark.parametrize("content", [b"<html></html>", b"\x00" * 500, "hello, world".encode("utf-16")])
def test_a_file_that_is_no_picture_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "text.png").write_bytes(content)
    with pytest.raises(InputError, match=r"text\.png is not a picture"):
        open_image(tmp_path / "text.png")


def test_a_missing_file_and_a_folder_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.png cannot be read"):
        open_image(tmp_path / "gone.png")
    with pytest.raises(InputError, match="cannot be read"):
        open_image(tmp_path)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [9_500, 30_000])
def test_more_pixels_than_the_limit_are_refused_before_decoding(tmp_path: Path, side: int) -> None:
    (tmp_path / "bomb.png").write_bytes(png_header(side, side))
    with pytest.raises(InputError, match=f"{MAX_PIXELS:,}"):
        open_image(tmp_path / "bomb.png")


def test_float_pixels_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    values = np.full((4, 4), np.nan, dtype=np.float32)
    Image.fromarray(values).save(tmp_path / "nan.tiff")
    with pytest.raises(InputError, match="not numbers"):
        open_image(tmp_path / "nan.tiff")


# opened


def test_cmyk_is_opened(tmp_path: Path) -> None:
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "cmyk.jpg", quality=95)
    red, green, blue = pixel(tmp_path / "cmyk.jpg")
    assert red > 240
    assert max(green, blue) < 15


@pytest.mark.parametrize(("value", "expected"), [(0, 0), (32896, 128), (65535, 255)])
def test_16_bit_grey_keeps_its_brightness(tmp_path: Path, value: int, expected: int) -> None:
    values = np.full((4, 4), 65535, dtype=np.uint16)
    values[0, 0] = value
    Image.fromarray(values).save(tmp_path / "deep.png")
    assert pixel(tmp_path / "deep.png") == (expected,) * 3


def test_float_grey_in_0_to_1_keeps_its_brightness(tmp_path: Path) -> None:
    Image.fromarray(np.full((4, 4), 0.5, dtype=np.float32)).save(tmp_path / "float.tiff")
    assert pixel(tmp_path / "float.tiff") == (128, 128, 128)


def test_a_palette_with_transparency_is_laid_on_white(tmp_path: Path) -> None:
    image = Image.new("P", (4, 4), 0)
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putpixel((1, 0), 1)
    image.save(tmp_path / "palette.png", transparency=0)
    assert pixel(tmp_path / "palette.png") == (255, 255, 255)
    assert pixel(tmp_path / "palette.png", 1) == (0, 0, 255)


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [
        ("RGBA", (0, 0, 0, 0), (255, 255, 255)),
        ("RGBA", (255, 0, 0, 128), (255, 127, 127)),
        ("RGBA", (255, 0, 0, 254), (255, 0, 0)),  # Forge hides the infotext in alpha's lowest bit
        ("LA", (0, 0), (255, 255, 255)),
        ("L", 7, (7, 7, 7)),
        ("1", 1, (255, 255, 255)),
    ],
)
def test_transparency_is_laid_on_white(
    tmp_path: Path, mode: str, colour: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    Image.new(mode, (4, 4), colour).save(tmp_path / "picture.png")
    assert pixel(tmp_path / "picture.png") == expected


@pytest.mark.parametrize("suffix", ["gif", "webp", "png"])
def test_of_an_animation_the_first_frame_is_taken(tmp_path: Path, suffix: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "green", "blue")]
    options = {"lossless": True} if suffix == "webp" else {}
    frames[0].save(tmp_path / f"moving.{suffix}", save_all=True, append_images=frames[1:], **options)
    assert pixel(tmp_path / f"moving.{suffix}") == (255, 0, 0)


def test_an_exif_rotation_is_applied(tmp_path: Path) -> None:
    image = Image.new("RGB", (40, 20), "white")
    image.paste("black", (0, 0, 20, 20))
    exif = Image.Exif()
    exif[0x0112] = 6  # turn clockwise by 90 degrees to view
    image.save(tmp_path / "turned.png", exif=exif)
    opened = open_image(tmp_path / "turned.png")
    assert opened.size == (20, 40)
    assert opened.getpixel((10, 5)) == (0, 0, 0)
    assert opened.getpixel((10, 35)) == (255, 255, 255)


def test_a_picture_handed_over_stays_as_it_is() -> None:
    image = Image.new("RGBA", (4, 4), (255, 0, 0, 0))
    assert open_image(image).getpixel((0, 0)) == (255, 255, 255)
    assert image.mode == "RGBA"


def test_a_huge_jpeg_is_decoded_small_and_looks_the_same(tmp_path: Path) -> None:
    small = Image.radial_gradient("L").convert("RGB")
    small.resize((5000, 4000), Image.Resampling.BICUBIC).save(tmp_path / "huge.jpg", quality=95)
    preprocess = Preprocess(64, "crop")
    reduced = open_image(tmp_path / "huge.jpg", wanted_px=64)
    exact = open_image(tmp_path / "huge.jpg")
    assert reduced.width < 5000 == exact.width
    assert min(reduced.size) >= 4 * 64
    assert np.abs(preprocess(reduced).astype(int) - preprocess(exact).astype(int)).max() <= 2
