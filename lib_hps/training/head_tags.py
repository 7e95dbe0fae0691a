"""A block of how well pictures fit the tags of their prompts, one by one.

Shapes: N examples (picture and prompt), T tags of a prompt, E embedding, K columns, M bank.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from lib_hps.scoring.clip.tag_features import COLUMNS, Crowd, crowd_of, fit_of_tags, side_by_side
from lib_hps.training.head_blocks import Block, Table, Terms

_ROWS = 512  # examples at once


def tag_block(table: Table, subjects: Tensor) -> Block:
    """The columns of `fit_of_tags`, each of the same spread.

    Args:
        table: the training examples.
        subjects: (M, E), a bank of first tags.
    """
    crowd = crowd_of(table.described["embedding"], subjects)
    values = torch.cat(
        [_of_rows(table, slice(first, first + _ROWS), crowd) for first in range(0, len(table.prompts), _ROWS)]
    )
    spread = values.std(dim=0).clamp_min(1e-6) * COLUMNS**0.5
    return Block("tags", (values - values.mean(dim=0)) / spread, partial(_put, crowd, spread))


def _of_rows(table: Table, rows: slice, crowd: Crowd) -> Tensor:
    tags = side_by_side([table.tags[prompt] for prompt in table.prompts[rows]])
    return fit_of_tags(table.described["embedding"][rows], tags, table.scale, crowd)


def _put(crowd: Crowd, spread: Tensor, terms: Terms, weights: Tensor) -> None:
    terms.tags = (weights / spread, crowd)
