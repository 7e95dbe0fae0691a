"""What a head can be made of, as blocks of columns of a few hundred numbers.

Each block has a mean square norm of about 1 over the training pictures, so that one prior variance a block says how
much it may move the score. Shapes: N examples (picture and prompt), F of a group, E embedding, R columns.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import torch
from torch import Tensor

from lib_hps.scoring.clip.head import naming
from lib_hps.scoring.clip.head_features import THUMBNAIL
from lib_hps.training.head_blocks import Block, Table, Terms, is_of_tower
from lib_hps.training.head_directions import Affine, leading_directions, side_by_side, stacked
from lib_hps.training.head_tags import tag_blocks
from lib_hps.training.head_words import find_words, word_blocks

_COLUMNS = 32
_MORE_COLUMNS = {
    "palette": 160,
    "tones": 200,
    "shades": 200,
    "edges": 63,
    "texture": 72,
    "figure": 51,
    "shape": 24,
}  # much of what counts there varies little
_AS_THEY_ARE = {"tones", "shades"}  # standardised, the colours that hardly ever occur would count most
_PROMPT_COLUMNS = 24
_BESIDE_WORDS = 8  # columns of the prompt, where its frequent words are known
_LOOK_COLUMNS = 48
_WHITENING = 0.7  # of the small bases, whose products and waves should see more than the leading direction
_LOOK = {"palette": 48, "tones": 48, "shades": 48, "edges": 32, "texture": 32, "colours": 32, "embedding": 48}
# groups with so many directions of each, and how many waves
_WAVES: dict[str, tuple[dict[str, int], int]] = {
    "style": ({"palette": 16, "edges": 16, "texture": 16, "embedding": 8}, 96),
    "figure": ({"figure": 24, "shape": 12, "rings": 10}, 160),
}
_BANK, _SMALLEST_BANK = 512, 8  # prompts


def make_blocks(table: Table, wins: Tensor, folds: Tensor) -> dict[str, Block]:
    """All blocks by name.

    Args:
        table: the training examples.
        wins: (N,), how often each was chosen.
        folds: (N,); examples of a prompt share one.
    """
    described = {name: x for name, x in table.described.items() if name != THUMBNAIL}
    linear = {
        name: leading_directions(x, _MORE_COLUMNS.get(name, _COLUMNS), as_they_are=name in _AS_THEY_ARE)
        for name, x in described.items()
    }
    found = {name: _linear_block(name, linear[name], x) for name, x in described.items()}
    words = find_words(table.prompts, table.texts)
    prompt = leading_directions(table.texts, _BESIDE_WORDS if words else _PROMPT_COLUMNS, whitening=_WHITENING)
    if words:
        prompt = side_by_side([words.heard, prompt])
        found |= word_blocks(words, table, linear, wins, folds)
    found["look x prompt"] = _look_block(described, table.texts, prompt)
    for seed, name in enumerate(_WAVES):
        found[f"{name} waves"] = _waves_block(name, described, seed)
    subjects = _bank(torch.stack([table.tags[prompt][0] for prompt in table.prompts]))
    if len(subjects) >= _SMALLEST_BANK:
        found |= tag_blocks(table, subjects)
    bank = _bank(table.texts)
    if len(bank) >= _SMALLEST_BANK:
        values = naming(table.cosine, table.scale, described["embedding"], bank)
        spread = values.std().clamp_min(1e-6)
        found["naming"] = Block(
            "naming", ((values - values.mean()) / spread)[:, None], partial(_put_naming, bank, spread)
        )
    return found


def _linear_block(name: str, directions: Affine, x: Tensor) -> Block:
    family = "towers" if is_of_tower(name) else "embedding" if name == "embedding" else "pixels"
    return Block(family, directions(x), lambda terms, weights: terms.add(name, directions.matrix @ weights))


def _put_naming(bank: Tensor, spread: Tensor, terms: Terms, weights: Tensor) -> None:
    terms.naming = (weights[0] / spread, bank)


def _mixture(described: Mapping[str, Tensor], reads: Mapping[str, int], whitening: float) -> tuple[Affine, Tensor]:
    """Directions of several groups, one behind the other, and the groups' features (N, sum of F)."""
    each = [leading_directions(described[group], size, whitening=whitening) for group, size in reads.items()]
    return stacked(each), torch.cat([described[group] for group in reads], dim=1)


def _look_block(described: Mapping[str, Tensor], texts: Tensor, prompt: Affine) -> Block:
    """Products of how a picture looks with what is asked for."""
    whole, x = _mixture(described, _LOOK, 0.5)
    whole = whole.then(leading_directions(whole(x), _LOOK_COLUMNS, whitening=_WHITENING, as_they_are=True))
    columns = (whole(x)[:, :, None] * prompt(texts)[:, None]).flatten(1)

    def put(terms: Terms, weights: Tensor) -> None:
        turned = weights.view(whole.matrix.shape[1], -1).T  # (prompt columns, R)
        right = Affine(prompt.matrix @ turned, prompt.offset @ turned)
        terms.prompted["look"] = (tuple(_LOOK), (whole.matrix, whole.offset, right.matrix, right.offset))

    return Block("prompt", columns, put)


def _waves_block(name: str, described: Mapping[str, Tensor], seed: int) -> Block:
    """Cosines of random mixtures as wide as the median distance of two pictures."""
    reads, count = _WAVES[name]
    read, x = _mixture(described, reads, _WHITENING)
    generator = torch.Generator().manual_seed(seed)
    some = read(x)[torch.randperm(len(x), generator=generator)[:400]]
    width = torch.cdist(some, some).median().clamp_min(1e-6)
    mix = torch.randn(some.shape[1], count, generator=generator) / width
    phase = 2 * torch.pi * torch.rand(count, generator=generator)
    values, scale = torch.cos(read(x) @ mix + phase), (2 / count) ** 0.5

    def put(terms: Terms, weights: Tensor) -> None:
        terms.waves[name] = (tuple(reads), (read.matrix @ mix, read.offset @ mix + phase, weights * scale))

    return Block("waves", (values - values.mean(dim=0)) * scale, put)


def _bank(texts: Tensor) -> Tensor:
    """(M, E): at most 512 different ones of the embeddings."""
    different = texts.unique(dim=0)
    return different[torch.randperm(len(different), generator=torch.Generator().manual_seed(0))[:_BANK]]
