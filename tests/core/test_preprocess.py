"""Making pictures and tensors square, and reading files ahead."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from lib_hps.errors import InputError
from lib_hps.scoring.images import Mode, Preprocess
from lib_hps.scoring.pipeline import batched, prefetch
from lib_hps.scoring.preprocess import normalise, square

MODES: list[Mode] = ["crop", "crop-floor", "pad"]


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", [(1, 1), (20_000, 40), (3, 20_000), (20_000, 1), (224, 224), (31, 57)])
def test_every_size_becomes_the_square_as_file_and_as_tensor(mode: Mode, size: tuple[int, int]) -> None:
    preprocess = Preprocess(56, mode)
    image = noise(*size)
    pixels = preprocess(image)
    assert pixels.shape == (3, 56, 56)
    tensor = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() / 255
    from_tensor = square(tensor, preprocess)
    assert from_tensor.shape == (1, 3, 56, 56)
    scale = 255 if pixels.dtype == np.uint8 else 1
    assert np.abs(from_tensor[0].numpy() - pixels / np.float32(scale)).mean() < 5e-3


@pytest.mark.parametrize("size", [(64, 64), (100, 61), (61, 100), (20, 33)])
def test_crop_is_pillows_resize_and_centre_crop(size: tuple[int, int]) -> None:
    image = noise(*size)
    short, side = min(size), 48
    resized = image.resize(tuple(side if s == short else int(side * s / short) for s in size), Image.Resampling.BICUBIC)
    left, top = (round((s - side) / 2) for s in resized.size)
    expected = np.asarray(resized.crop((left, top, left + side, top + side))).transpose(2, 0, 1)
    np.testing.assert_array_equal(Preprocess(side, "crop")(image), expected)


@pytest.mark.parametrize("size", [(64, 64), (100, 61), (61, 100), (20, 33), (48, 30), (1024, 700)])
def test_pad_is_torchs_antialiased_bicubic_on_floats_with_black_borders(size: tuple[int, int]) -> None:
    image, side = noise(*size), 48
    floats = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() / 255
    height, width = (round(s * side / max(size)) for s in size[::-1])
    resized = F.interpolate(floats, (height, width), mode="bicubic", antialias=True)
    expected = torch.zeros(3, side, side)
    top, left = (side - height) // 2, (side - width) // 2
    expected[:, top : top + height, left : left + width] = resized[0]
    np.testing.assert_allclose(Preprocess(side, "pad")(image), expected.numpy(), atol=5e-5)


def test_the_two_crops_differ_by_the_rounding_of_an_odd_margin() -> None:
    crop, floor = Preprocess(10, "crop"), Preprocess(10, "crop-floor")
    assert (crop.offset(13), floor.offset(13)) == (2, 1)
    assert (crop.offset(12), floor.offset(12)) == (1, 1)


def test_normalising_takes_8_bit_and_float_pixels_alike() -> None:
    preprocess = Preprocess(8)
    pixels = torch.randint(0, 256, (2, 3, 8, 8), dtype=torch.uint8)
    from_bytes = normalise(pixels, preprocess, dtype=torch.float32)
    from_floats = normalise(pixels.float() / 255, preprocess, dtype=torch.float32)
    torch.testing.assert_close(from_bytes, from_floats)
    grey = torch.tensor(preprocess.mean).view(1, 3, 1, 1).expand(1, 3, 8, 8)
    assert normalise(grey, preprocess, dtype=torch.float16).abs().max() < 1e-3


@pytest.mark.parametrize(
    "options", [{"size_px": 0}, {"size_px": 8, "mode": "stretch"}, {"size_px": 8, "std": (0.0, 1.0, 1.0)}]
)
def test_a_preprocessing_that_cannot_be_is_refused(options: dict) -> None:
    with pytest.raises(InputError, match="Preprocess"):
        Preprocess(**options)


def test_reading_ahead_keeps_the_order_and_a_bounded_number_of_results() -> None:
    started, lock = [0], threading.Lock()

    def work(number: int) -> int:
        with lock:
            started[0] += 1
        return number * number

    taken = 0
    for index, value in prefetch(work, range(500), workers=4, ahead=10):
        assert (index, value) == (taken, taken * taken)
        taken += 1
        assert started[0] <= taken + 10
    assert taken == 500


def test_reading_ahead_takes_from_an_endless_source_only_what_is_needed() -> None:
    drawn = []

    def source() -> Iterator[int]:
        number = 0
        while True:
            drawn.append(number)
            yield number
            number += 1

    results = prefetch(lambda number: number, source(), workers=2, ahead=5)
    assert [next(results)[1] for _ in range(3)] == [0, 1, 2]
    results.close()
    assert len(drawn) <= 8


def test_reading_ahead_hands_on_input_errors_and_raises_others() -> None:
    def work(number: int) -> int:
        if number == 1:
            raise InputError("one")
        if number == 3:
            raise MemoryError("three")
        return number

    results = prefetch(work, range(5), workers=2, ahead=2)
    assert next(results) == (0, 0)
    assert isinstance(next(results)[1], InputError)
    assert next(results) == (2, 2)
    with pytest.raises(MemoryError):
        next(results)


def test_batches_are_full_but_the_last() -> None:
    assert list(batched(range(5), 2)) == [[0, 1], [2, 3], [4]]
