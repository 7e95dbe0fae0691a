"""Tensors of pictures to the square that a CLIP tower reads, on the device where they are, without a PIL round trip."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lib_hps.errors import InputError

if TYPE_CHECKING:
    import torch

    from .images import Preprocess

# Decoders overshoot by rounding; anything further out was scaled differently.
_TOLERANCE = 1e-3


def check_image_tensor(images: torch.Tensor) -> None:
    """Refuse what is not a float tensor (N, 3, H, W) of finite values in 0..1.

    Raises:
        InputError: wrong dimensions, wrong dtype, no pixels, NaN, or values outside 0..1; each says which.
    """
    import torch

    if images.ndim != 4 or images.shape[1] != 3:
        raise InputError(f"An image tensor must have the shape (N, 3, H, W), got {tuple(images.shape)}.")
    if not images.is_floating_point():
        raise InputError(f"An image tensor must hold floats in 0..1, got {images.dtype}. Divide 8-bit values by 255.")
    if images.shape[0] == 0:
        return
    if images.numel() == 0:
        raise InputError(f"The image tensor has no pixels: shape {tuple(images.shape)}.")
    lowest, highest = (value.item() for value in torch.aminmax(images))
    if lowest != lowest or highest != highest:
        raise InputError("The image tensor holds NaN: the decoding failed (try the VAE in full precision).")
    if lowest < -_TOLERANCE or highest > 1 + _TOLERANCE:
        raise InputError(
            f"The image tensor holds values from {lowest:.4g} to {highest:.4g}; 0..1 is expected. "
            "A decoder's -1..1 becomes that by x / 2 + 0.5."
        )


def square(images: torch.Tensor, preprocess: Preprocess) -> torch.Tensor:
    """Resize and crop or pad (N, 3, H, W) in 0..1 to (N, 3, size, size) float32, not yet normalised.

    The antialiased bicubic filter is Pillow's. For the crops, whose models saw 8-bit pictures, each pass is rounded and
    clamped to 8 bits as Pillow does; otherwise overshoot at sharp edges would make scores differ.
    """
    from torch.nn import functional as F

    top, left, height, width = preprocess.kept_centre(images.shape[2], images.shape[3])
    images = images[:, :, top : top + height, left : left + width].float().clamp(0, 1)
    height, width = preprocess.resized_size(height, width)
    top, left, size = preprocess.offset(height), preprocess.offset(width), preprocess.size_px
    if preprocess.mode == "pad":
        if (height, width) != tuple(images.shape[2:]):
            images = F.interpolate(images, (height, width), mode="bicubic", antialias=True)
        return F.pad(images, (left, size - width - left, top, size - height - top))
    pixels = (images * 255).round()
    if width != pixels.shape[3]:
        pixels = F.interpolate(pixels, (pixels.shape[2], width), mode="bicubic", antialias=True).round().clamp(0, 255)
    pixels = pixels[:, :, :, left : left + size]
    if height != pixels.shape[2]:
        pixels = F.interpolate(pixels, (height, size), mode="bicubic", antialias=True).round().clamp(0, 255)
    return pixels[:, :, top : top + size] / 255


def normalise(images: torch.Tensor, preprocess: Preprocess, *, dtype: torch.dtype) -> torch.Tensor:
    """uint8 or float32 (N, 3, S, S) -> (x - mean) / std in `dtype`, on the same device."""
    import torch

    scale = 255.0 if images.dtype == torch.uint8 else 1.0
    mean = images.new_tensor(preprocess.mean, dtype=torch.float32).view(1, 3, 1, 1)
    std = images.new_tensor(preprocess.std, dtype=torch.float32).view(1, 3, 1, 1)
    return ((images.float() / scale - mean) / std).to(dtype)
