"""Rank and score drawn into a corner of what the gallery shows; saved files stay as they were generated."""

from __future__ import annotations

from PIL import Image, ImageDraw, ImageFont

_SHARE_OF_HEIGHT = 20
_SMALLEST_PX = 10


def _font(size_px: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    try:
        return ImageFont.truetype("DejaVuSans.ttf", size_px)
    except OSError:
        try:
            return ImageFont.load_default(size_px)
        except TypeError:  # Pillow before 10.1 has one size only
            return ImageFont.load_default()


def draw_label(image: Image.Image, text: str) -> Image.Image:
    """A copy of `image` with `text` in white on a dark plate below left, as large as its width allows."""
    drawn = image.convert("RGB").copy()
    drawn.info = dict(image.info)
    pen = ImageDraw.Draw(drawn, "RGBA")
    size_px = max(_SMALLEST_PX, image.height // _SHARE_OF_HEIGHT)
    font, pad = _font(size_px), size_px // 3
    left, top, right, bottom = pen.textbbox((0, 0), text, font=font)
    room = image.width - 2 * pad
    if right - left > room:
        font = _font(max(1, int(size_px * room / (right - left))))
        left, top, right, bottom = pen.textbbox((0, 0), text, font=font)
    height = bottom - top + 2 * pad
    pen.rectangle((0, image.height - height, right - left + 2 * pad, image.height), fill=(0, 0, 0, 160))
    pen.text((pad - left, image.height - height + pad - top), text, font=font, fill=(255, 255, 255, 255))
    return drawn
