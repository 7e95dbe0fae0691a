"""Pictures to latents: a bucket of the picture's shape, a crop, the VAE's posterior, kept on disk.

Shapes: h, w latent sides (pixels / 8). A posterior is (2C, h, w): mean and log variance of C channels.
"""

from __future__ import annotations

import hashlib
import io
import logging
import math
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from lib_hps.errors import InputError
from lib_hps.scoring.images import open_image

if TYPE_CHECKING:
    from PIL.Image import Image

    from lib_hps.training.feature_cache import FeatureCache

log = logging.getLogger(__name__)

_LONGEST_RATIO = 2.4  # of a bucket's sides


@dataclass(frozen=True)
class Crop:
    """Which part of a picture is seen.

    Attributes:
        original: (width, height) of the file.
        resized: of the picture before it is cut.
        corner: (left, top) of the cut.
        size: (width, height) of the bucket.
    """

    original: tuple[int, int]
    resized: tuple[int, int]
    corner: tuple[int, int]
    size: tuple[int, int]

    def cut(self, image: Image) -> torch.Tensor:
        """(3, H, W) in -1..1."""
        import numpy as np
        from PIL import Image as PIL

        left, top = self.corner
        seen = image if image.size == self.resized else image.resize(self.resized, PIL.Resampling.LANCZOS)
        seen = seen.crop((left, top, left + self.size[0], top + self.size[1]))
        return torch.from_numpy(np.asarray(seen, dtype=np.float32) / 127.5 - 1).permute(2, 0, 1).contiguous()

    @property
    def time_ids(self) -> tuple[int, ...]:
        """SDXL's conditioning: original height and width, top and left of the cut, height and width of the picture."""
        (w, h), (left, top), (width, height) = self.original, self.corner, self.size
        return h, w, top, left, height, width


def bucket_of(size: tuple[int, int], *, resolution: int, step: int, are_kept: bool = True) -> tuple[int, int]:
    """Width and height to train a picture of `size` in: its shape, an area of at most resolution^2.

    Args:
        size: width and height of the picture.
        resolution: side of the square bucket.
        step: sides are multiples of this.
        are_kept: False gives the square to every picture.
    """
    square = max(step, resolution // step * step)
    if not are_kept:
        return square, square
    wanted = math.log(size[0] / size[1])
    choices = {(square, square)}
    for short in range(step, square + 1, step):
        long = square * square // short // step * step
        if long <= _LONGEST_RATIO * short:
            choices |= {(short, long), (long, short)}
    return min(choices, key=lambda c: (abs(math.log(c[0] / c[1]) - wanted), -c[0] * c[1], c))


def crop_of(size: tuple[int, int], bucket: tuple[int, int], *, digest: str, number: int) -> Crop:
    """The `number`-th crop of a picture: resized to cover the bucket, cut somewhere, the same every time."""
    scale = max(bucket[0] / size[0], bucket[1] / size[1])
    resized = (max(bucket[0], round(size[0] * scale)), max(bucket[1], round(size[1] * scale)))
    chance = random.Random(f"{digest} {number}")
    corner = tuple(chance.randint(0, resized[axis] - bucket[axis]) for axis in (0, 1))
    return Crop(size, resized, (corner[0], corner[1]), bucket)


@dataclass(frozen=True)
class _Known:
    digest: str
    size: tuple[int, int]


class LatentStore:
    """Crops of picture files, as pixels or as what the VAE makes of them.

    Args:
        vae: diffusers' AutoencoderKL on its device.
        cache: for posteriors; None gives pixels, to be encoded in the step.
        resolution: side of the square bucket.
        step: sides are multiples of this.
        crops: kept of each picture.
        has_buckets: False trains squares.
        is_bf16: encode in bfloat16 where nothing is kept, several times as fast; what is kept is encoded in float32.
    """

    def __init__(
        self,
        vae: Any,
        cache: FeatureCache | None,
        *,
        resolution: int,
        step: int,
        crops: int,
        has_buckets: bool,
        is_bf16: bool = False,
    ) -> None:
        self._vae, self._cache, self._crops = vae, cache, crops
        self._is_bf16 = is_bf16 and cache is None
        if self._is_bf16:
            vae.to(memory_format=torch.channels_last)  # its convolutions are then twice as fast in bfloat16 on a CPU
        self._shape = {"resolution": resolution, "step": step, "are_kept": has_buckets}
        self._known: dict[Path, _Known] = {}

    def bucket(self, path: Path) -> tuple[int, int]:
        """Width and height that a picture is trained in.

        Raises:
            InputError: the picture cannot be read.
        """
        return bucket_of(self._look(path).size, **self._shape)  # type: ignore[arg-type]

    def crop(self, path: Path, number: int, bucket: tuple[int, int] | None = None) -> Crop:
        """One of the picture's crops, into its own bucket or another."""
        known = self._look(path)
        return crop_of(known.size, bucket or self.bucket(path), digest=known.digest, number=number)

    def get(self, path: Path, crop: Crop) -> torch.Tensor:
        """The posterior (2C, h, w) where there is a cache, else the pixels (3, H, W)."""
        if self._cache is None:
            return crop.cut(open_image(path))
        found = self._cache.find(self._name(path, crop))
        return self._encoded(path, crop) if found is None else found.float()

    def fill(self, paths: Iterable[Path], progress: Callable[[int], None] = lambda done: None) -> dict[Path, str]:
        """Read every picture (encode what is not kept yet); return those that cannot be used, with the reason.

        Raises:
            StorageError: the cache cannot be written.
        """
        bad: dict[Path, str] = {}
        for path in dict.fromkeys(paths):
            try:
                for number in range(self._crops):
                    crop = self.crop(path, number)
                    if self._cache is None:
                        open_image(path)
                        break
                    if self._cache.find(self._name(path, crop)) is None:
                        self._encoded(path, crop)
            except InputError as error:
                bad[path] = str(error)
            progress(1)
        return bad

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) in -1..1 -> (B, 2C, h, w), float32, on the VAE's device."""
        with torch.no_grad(), torch.autocast(pixels.device.type, torch.bfloat16, enabled=self._is_bf16):
            posterior = self._vae.encode(pixels.to(self._vae.device, self._vae.dtype), return_dict=False)[0]
        return posterior.parameters.float()

    def _encoded(self, path: Path, crop: Crop) -> torch.Tensor:
        posterior = self.encode(crop.cut(open_image(path))[None])[0].cpu()
        if not bool(posterior.isfinite().all()):
            raise InputError(f"The autoencoder gives no numbers for {path}.")
        return posterior if self._cache is None else self._cache.keep(self._name(path, crop), posterior).float()

    def _name(self, path: Path, crop: Crop) -> str:
        return hashlib.sha256(f"{self._look(path).digest} {crop}".encode()).hexdigest()

    def _look(self, path: Path) -> _Known:
        if path not in self._known:
            try:
                content = path.read_bytes()
            except OSError as error:
                raise InputError(f"Cannot read the picture {path}: {error.strerror}.") from error
            size = _header(path, content)
            self._known[path] = _Known(hashlib.sha256(content).hexdigest(), size)
        return self._known[path]


def _header(path: Path, content: bytes) -> tuple[int, int]:
    """Width and height as they will be seen, without decoding the picture."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content)) as opened:
            width, height = opened.size
            turned = opened.getexif().get(0x0112, 1) in (5, 6, 7, 8)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(f"{path} is no picture ({error}).") from error
    return (height, width) if turned else (width, height)
