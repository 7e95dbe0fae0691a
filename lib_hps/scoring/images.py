"""From anything that calls itself a picture to the square of numbers that a CLIP tower reads. No torch here.

Three ways to make a picture square, each as its model was trained (or as its public package does it):

- `crop`: shortest side to the size, bicubic on 8-bit pixels, centre crop (OpenAI's clip, open_clip);
- `crop-floor`: the same with the crop's corner rounded down (transformers' CLIP processor, PickScore);
- `pad`: longest side to the size, bicubic on float pixels, neither rounded nor clamped, black borders (hpsv2 1.2.0).
"""

from __future__ import annotations

import os
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from lib_hps.errors import InputError

Mode = Literal["crop", "crop-floor", "pad"]

MAX_PIXELS = 89_000_000
"""Pictures above this are refused; Pillow itself would start to warn just above it."""

# Above this a JPEG is decoded at a reduced scale, still at least four times the size asked for. Measured on natural
# pictures of 16 to 67 Mpx: 0.1 of 255 mean and 2 of 255 largest pixel difference, 20 to 40 times faster.
DRAFT_ABOVE_PIXELS = 16_000_000

# Longer pictures lose their ends before a centre crop, which would not show them anyway.
_MAX_ASPECT = 8

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)

# What Pillow's decoders raise on damaged data, besides OSError.
_DECODER_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    EOFError,
    IndexError,
    KeyError,
    struct.error,
    zlib.error,
)


@dataclass(frozen=True)
class Preprocess:
    """How a scorer wants its pictures: `size_px` square, made so by `mode`, then (x - mean) / std per channel."""

    size_px: int
    mode: Mode = "crop"
    mean: tuple[float, float, float] = CLIP_MEAN
    std: tuple[float, float, float] = CLIP_STD

    def __post_init__(self) -> None:
        if self.size_px < 1:
            raise InputError(f"Preprocess.size_px must be positive, got {self.size_px!r}.")
        if self.mode not in get_args(Mode):
            raise InputError(f"Preprocess.mode must be one of {', '.join(get_args(Mode))}, got {self.mode!r}.")
        if len(self.mean) != 3 or len(self.std) != 3 or min(self.std) <= 0:
            raise InputError(
                f"Preprocess needs three means and three positive deviations, got {self.mean}, {self.std}."
            )

    def resized_size(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) after the resize and before crop or pad, for a picture of that size."""
        if self.mode == "pad":
            scale = self.size_px / float(max(height, width))
            return max(1, round(height * scale)), max(1, round(width * scale))
        longest = int(self.size_px * max(height, width) / min(height, width))
        return (self.size_px, longest) if height <= width else (longest, self.size_px)

    def offset(self, length: int) -> int:
        """Where the crop starts (or, for `pad`, how wide the first border is) along a side of `length` pixels."""
        if self.mode == "pad":
            return (self.size_px - length) // 2
        return round((length - self.size_px) / 2.0) if self.mode == "crop" else (length - self.size_px) // 2

    def kept_centre(self, height: int, width: int) -> tuple[int, int, int, int]:
        """(top, left, height, width) of the part that the resize has to see: all of it, unless extremely long."""
        if self.mode == "pad":
            return 0, 0, height, width
        kept_h, kept_w = min(height, width * _MAX_ASPECT), min(width, height * _MAX_ASPECT)
        return (height - kept_h) // 2, (width - kept_w) // 2, kept_h, kept_w

    def __call__(self, image: Image.Image) -> np.ndarray:
        """An RGB picture of any size -> (3, size, size): uint8 after a crop, float32 about 0..1 after padding."""
        return self._padded(image) if self.mode == "pad" else self._cropped(image)

    def _cropped(self, image: Image.Image) -> np.ndarray:
        top, left, height, width = self.kept_centre(image.height, image.width)
        if (width, height) != image.size:
            image = image.crop((left, top, left + width, top + height))
        height, width = self.resized_size(height, width)
        if (width, height) != image.size:
            image = image.resize((width, height), Image.Resampling.BICUBIC)
        top, left = self.offset(height), self.offset(width)
        pixels = np.asarray(image)[top : top + self.size_px, left : left + self.size_px]  # (S, S, 3)
        return np.ascontiguousarray(pixels.transpose(2, 0, 1))

    def _padded(self, image: Image.Image) -> np.ndarray:
        height, width = self.resized_size(image.height, image.width)
        top, left = self.offset(height), self.offset(width)
        square = np.zeros((3, self.size_px, self.size_px), dtype=np.float32)
        # One float channel at a time: Pillow's filter on floats is torch's antialiased bicubic to within 5e-6.
        for channel, target in zip(image.split(), square, strict=True):
            if (width, height) != image.size:
                channel = channel.convert("F").resize((width, height), Image.Resampling.BICUBIC)
            target[top : top + height, left : left + width] = np.asarray(channel, dtype=np.float32) / 255
        return square


def open_image(source: Image.Image | str | os.PathLike[str], *, wanted_px: int | None = None) -> Image.Image:
    """Open a picture as 8-bit RGB: first frame, turned as its EXIF says, transparency laid on white.

    Args:
        source: a file, or an open picture (which is left as it is).
        wanted_px: the side that it will be resized to; lets huge JPEGs be decoded at a reduced scale.

    Raises:
        InputError: missing, empty, truncated or not a picture, or more than `MAX_PIXELS`; names the file.
    """
    if isinstance(source, Image.Image):
        return _decoded(source, source.info.get("filename") or "The given picture")
    path = Path(source)
    try:
        with path.open("rb") as stream:
            if os.fstat(stream.fileno()).st_size == 0:
                raise InputError(f"{path} is empty (zero bytes). It was probably never finished; save it again.")
            with Image.open(stream) as image:
                _check_size(image, path)
                if wanted_px and image.width * image.height > DRAFT_ABOVE_PIXELS:
                    image.draft("RGB", (4 * wanted_px, 4 * wanted_px))
                return _decoded(image, path)
    except UnidentifiedImageError as error:
        raise InputError(f"{path} is not a picture in a format that Pillow reads.") from error
    except Image.DecompressionBombError as error:
        raise InputError(f"{path} has more than {MAX_PIXELS:,} pixels. Scale it down first.") from error
    except InputError:
        raise
    except _DECODER_ERRORS as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise InputError(f"{path} cannot be read as a picture: {reason}.") from error


def _check_size(image: Image.Image, name: object) -> None:
    if image.width * image.height > MAX_PIXELS:
        size = f"{image.width} x {image.height}"
        raise InputError(f"{name} is {size} pixels, above the limit of {MAX_PIXELS:,}. Scale it down first.")


def _decoded(image: Image.Image, name: object) -> Image.Image:
    _check_size(image, name)
    if 0 in image.size:
        raise InputError(f"{name} has no pixels ({image.width} x {image.height}).")
    try:
        image.load()
        return _to_rgb(ImageOps.exif_transpose(image))
    except _DECODER_ERRORS as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{name} is damaged: {error}.") from error


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode in {"I", "F"} or image.mode.startswith("I;"):
        return _deep_grey_to_rgb(image)
    if image.mode in {"RGBA", "LA", "PA", "RGBa", "La"} or "transparency" in image.info:
        rgba = image.convert("RGBA")
        if not any(rgba.getchannel("A").histogram()[:254]):  # opaque; Forge hides the infotext in alpha's lowest bit
            return rgba.convert("RGB")
        white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image.convert("RGB")


def _deep_grey_to_rgb(image: Image.Image) -> Image.Image:
    """16-bit, 32-bit and float grey, which `convert` would clip to white: scaled by the range that the values show."""
    values = np.asarray(image, dtype=np.float64)
    if not np.isfinite(values).all():
        raise InputError("The picture holds values that are not numbers (NaN or infinity).")
    highest = float(values.max())
    if image.mode == "F" and highest <= 1.0:
        full = 1.0
    elif image.mode == "F" and highest <= 255.0:
        full = 255.0
    else:
        full = 65535.0 if highest <= 65535.0 else highest
    grey = np.clip(np.rint(values * (255.0 / full)), 0, 255).astype(np.uint8)
    return Image.fromarray(grey, "L").convert("RGB")
