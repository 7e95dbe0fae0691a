"""What callers may hand to a scorer, and the errors for everything else."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from PIL import Image

from lib_hps.errors import InputError

if TYPE_CHECKING:
    import torch

Source: TypeAlias = "Image.Image | str | os.PathLike[str]"
Images: TypeAlias = "Source | Sequence[Source] | torch.Tensor"
Prompts: TypeAlias = "str | Sequence[str] | None"


def is_tensor(value: object) -> bool:
    """True for a torch tensor, without importing torch for something that is none."""
    return type(value).__module__.split(".")[0] == "torch" and hasattr(value, "ndim")


def check_images(images: Images) -> list[Source] | torch.Tensor:
    """A list of sources or a checked tensor; a single picture becomes a list of one.

    Raises:
        InputError: something that is neither, or a tensor that is not (N, 3, H, W) finite in 0..1.
    """
    if is_tensor(images):
        from .preprocess import check_image_tensor

        check_image_tensor(cast(Any, images))
        return cast("torch.Tensor", images)
    if isinstance(images, (str, os.PathLike, Image.Image)):
        return [images]
    sources = list(cast("Sequence[Source]", images))
    for index, source in enumerate(sources):
        if not isinstance(source, (str, os.PathLike, Image.Image)):
            raise InputError(
                f"Image {index} is a {type(source).__name__}. Give PIL pictures, paths, or one tensor (N, 3, H, W)."
            )
    return sources


def check_prompts(prompts: Prompts, count: int, *, are_needed: bool) -> list[str] | None:
    """One raw prompt per picture; None for a scorer that reads none.

    Raises:
        InputError: none where one is needed, another number of prompts than pictures, an empty one, or not a text.
    """
    if prompts is None:
        if are_needed and count:
            raise InputError("This scorer compares pictures with a prompt, and no prompt was given.")
        return None
    texts = [prompts] * count if isinstance(prompts, str) else list(prompts)
    if len(texts) != count:
        raise InputError(f"There are {len(texts)} prompts for {count} images. Give one per image, or one for all.")
    if not are_needed:
        return None
    for index, text in enumerate(dict.fromkeys(texts) if isinstance(prompts, str) else texts):
        if not isinstance(text, str):
            raise InputError(f"Prompt {index} is a {type(text).__name__}, not a text.")
        if not text.strip():
            raise InputError(f"Prompt {index} is empty. A picture can only be scored against some words.")
    return texts
