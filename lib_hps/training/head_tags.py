"""Blocks of how well pictures fit the tags of their prompts, one by one, and of which frequent tags they show.

Shapes: N examples (picture and prompt), T tags of a prompt, E embedding, K columns, M first tags, Q frequent tags.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import partial
from itertools import combinations

import torch
from torch import Tensor

from lib_hps.scoring.clip.tag_features import Crowd, columns_of_tags, crowd_of, kinds_of, side_by_side, width_of_fit
from lib_hps.scoring.prompts import tags_of
from lib_hps.training.head_blocks import Block, Table, Terms

_ROWS = 512  # examples at once
_MOST_FREQUENT, _OFTEN = 64, 8  # tags that are compared with each other, and prompts that each stands in at least
_EXPECTED = 3.0  # prompts with two tags, were they strangers: where there is none, they exclude each other
_EXPECTED_OF_A_KIND = 1.5  # the same of two that have rivals in common


def tag_blocks(table: Table, subjects: Tensor) -> dict[str, Block]:
    """The columns of `fit_of_tags` and those of `shares_of_tags` that vary; in each block all of the same spread.

    Args:
        table: the training examples.
        subjects: (M, E), a bank of first tags.
    """
    crowd = crowd_of(table.described["embedding"], subjects, *find_rivals(table.tags))
    values = torch.cat(
        [_of_rows(table, slice(first, first + _ROWS), crowd) for first in range(0, len(table.prompts), _ROWS)]
    )
    deviation = values.std(dim=0)
    varies, is_fit = deviation > 1e-6, torch.arange(values.shape[1]) < width_of_fit(crowd)
    found = {}
    for name, mine in (("tags", is_fit & varies), ("tag shares", ~is_fit & varies)):
        if mine.any():
            spread = deviation[mine] * mine.sum() ** 0.5
            columns = (values[:, mine] - values[:, mine].mean(dim=0)) / spread
            found[name] = Block("tags", columns, partial(_put, crowd, mine, spread))
    return found


def find_rivals(tags: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """The frequent tags, (Q, E), and which of them exclude each other, (Q, Q), 1 or 0.

    Two do if no prompt has both though chance would give three; of one kind by such proofs, though it would give half
    as many, for among few prompts not every two backgrounds would meet three times.

    Args:
        tags: embeddings (T, E) of each different prompt's tags.
    """
    each = {prompt: tags_of(prompt) for prompt in tags}
    prompts = Counter(name for names in each.values() for name in {*names})
    both = Counter(pair for names in each.values() for pair in combinations(sorted({*names}), 2))
    known = sorted(
        (name for name, times in prompts.items() if times >= _OFTEN), key=lambda name: (-prompts[name], name)
    )
    known = known[:_MOST_FREQUENT]
    of = {name: tags[prompt][place] for prompt, names in each.items() for place, name in enumerate(names)}
    frequent = torch.stack([of[name] for name in known]) if known else next(iter(tags.values()))[:0]
    expected = torch.zeros(len(known), len(known))  # prompts with both, were they strangers; 0 if there is any
    for (row, one), (column, other) in combinations(enumerate(known), 2):
        if not both[min(one, other), max(one, other)]:
            expected[row, column] = expected[column, row] = prompts[one] * prompts[other] / len(each)
    kinds = kinds_of(expected >= _EXPECTED)
    of_a_kind = kinds @ kinds.T > 0
    return frequent, ((expected >= _EXPECTED) | (of_a_kind & (expected >= _EXPECTED_OF_A_KIND))).float()


def _of_rows(table: Table, rows: slice, crowd: Crowd) -> Tensor:
    tags = side_by_side([table.tags[prompt] for prompt in table.prompts[rows]])
    return columns_of_tags(table.described["embedding"][rows], tags, table.scale, crowd)


def _put(crowd: Crowd, mine: Tensor, spread: Tensor, terms: Terms, weights: Tensor) -> None:
    """Weights of some of the columns, beside those that are there."""
    whole = terms.tags[0].clone() if terms.tags else torch.zeros(len(mine))
    whole[mine] = weights / spread
    terms.tags = (whole, crowd)
