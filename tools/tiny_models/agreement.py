"""Do two scorers agree within a prompt, and with the rater? On prompts and pictures that neither learned from."""

from __future__ import annotations

import math

import numpy as np
import torch

from lib_hps.scoring.clip.model import Clip
from lib_hps.scoring.clip.tokenizer import Tokenizer

from .choices import Drawn
from .contrastive import normalise
from .rater import to_images


@torch.no_grad()
def scores_of(model: Clip, tokenizer: Tokenizer, drawn: Drawn) -> np.ndarray:
    """Cosines (P, K)."""
    read = torch.nn.functional.normalize(model.encode_text(tokenizer(drawn.prompts)).float(), dim=-1)
    images = to_images(drawn.pictures).flatten(0, 1)
    seen = torch.cat([model.encode_image(normalise(chunk)) for chunk in images.split(64)])
    seen = torch.nn.functional.normalize(seen.float(), dim=-1).unflatten(0, drawn.pictures.shape[:2])
    return (seen * read[:, None]).sum(dim=-1).numpy()


def within_prompts(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """Mean over the prompts of the correlation within a prompt (P, K), and half its 95 % interval."""
    first, second = ((x - x.mean(1, keepdims=True)) / x.std(1, keepdims=True) for x in (first, second))
    each = (first * second).mean(axis=1)
    return float(each.mean()), float(1.96 * each.std(ddof=1) / math.sqrt(len(each)))
