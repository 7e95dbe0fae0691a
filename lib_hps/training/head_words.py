"""What the words that come back in prompts look like, learned from the pictures that such prompts got.

Who asks for "..., watercolour" and chooses the watercolour says what the word means to them. So for every frequent word
a ridge regression tells pictures of prompts with it from those of prompts without it, chosen pictures above all, and
another finds the word in the prompt's embedding; their product is how far a picture fits that word of its prompt.
Of a training example the first is learned from the other prompts alone, or every picture would seem to fit.
Shapes: N examples (picture and prompt), F features, E embedding, K words.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from lib_hps.training.head_blocks import Block, Table, Terms, is_of_tower
from lib_hps.training.head_directions import Affine, centred, stacked

_MOST, _FEWEST, _LEAST_SHARE = 24, 5, 0.03  # words, and prompts that must have and lack each
_NEVER_CHOSEN = 0.03  # weight of a picture beside that of one chosen once
_RIDGE = 0.01  # beside features of a mean square norm of 1 together
_TEXT_RIDGE = 1e-3  # of an embedding's mean variance
_READS: dict[str, tuple[str, ...]] = {
    "style": ("tones", "shades", "edges"),
    "texture": ("edges", "texture", "colours"),
    "figure": ("figure", "shape"),
    "embedding": ("embedding",),
}
"""What words are looked for in; beside these in all layers of the tower at once."""


@dataclass(frozen=True)
class Words:
    """Frequent words of prompts.

    Attributes:
        names: K.
        said: (N, K), 1 where the example's prompt has the word.
        heard: embeddings of prompts (N, E) -> (N, K).
    """

    names: tuple[str, ...]
    said: Tensor
    heard: Affine


def find_words(prompts: Sequence[str], texts: Tensor) -> Words | None:
    """The words that at least 3 % of the prompts have and 3 % lack, at most 24; None where there are none.

    Args:
        prompts: N, of the examples.
        texts: (N, E), their embeddings.
    """
    of = {prompt: set(re.findall(r"[^\W_]+", prompt.lower())) for prompt in prompts}
    counts = Counter(word for words in of.values() for word in words)
    fewest = max(_FEWEST, _LEAST_SHARE * len(of))
    kept = sorted((-count, word) for word, count in counts.items() if fewest <= count <= len(of) - fewest)[:_MOST]
    if not kept:
        return None
    names = tuple(word for _, word in kept)
    said = torch.tensor([[float(word in of[prompt]) for word in names] for prompt in prompts])
    first = {prompt: row for row, prompt in reversed(list(enumerate(prompts)))}
    rows = list(first.values())  # each prompt once
    ridge = _TEXT_RIDGE * float(texts[rows].var(dim=0).mean())
    return Words(names, said, _ridge(texts[rows], said[rows], torch.ones(len(rows)), ridge))


@dataclass(frozen=True)
class Look:
    """How the words look in some groups of features.

    Attributes:
        groups: that are read, one behind the other.
        seen: features (N, sum of F) -> (N, K).
        unbiased: (N, K) of the training examples, each as the other folds' prompts teach.
    """

    groups: tuple[str, ...]
    seen: Affine
    unbiased: Tensor


def learn_looks(
    words: Words,
    directions: Mapping[str, Affine],
    described: Mapping[str, Tensor],
    wins: Tensor,
    folds: Tensor,
) -> dict[str, Look]:
    """For each set of groups, how the words look there.

    Args:
        words: of the examples' prompts.
        directions: of each group, in which its features are read.
        described: (N, F) by group.
        wins: (N,), how often each example was chosen.
        folds: (N,); examples of a prompt share one.
    """
    towers = tuple(filter(is_of_tower, directions))
    found = {}
    for name, groups in {**_READS, "towers": towers}.items():
        reads = stacked([directions[group] for group in groups])
        x = reads(torch.cat([described[group] for group in groups], dim=1))
        weights = wins + _NEVER_CHOSEN
        unbiased = torch.zeros(len(x), len(words.names))
        for fold in folds.unique().tolist():
            there, others = folds == fold, folds != fold
            unbiased[there] = _ridge(x[others], words.said[others], weights[others], _RIDGE)(x[there])
        found[name] = Look(groups, reads.then(_ridge(x, words.said, weights, _RIDGE)), unbiased)
    return found


def word_blocks(
    words: Words, table: Table, directions: Mapping[str, Affine], wins: Tensor, folds: Tensor
) -> dict[str, Block]:
    """Of every look: its words by themselves, and their products with those of the prompt."""
    found, scale = {}, len(words.names) ** 0.5
    heard = words.heard(table.texts) * scale
    for name, look in learn_looks(words, directions, table.described, wins, folds).items():
        sizes = [table.described[group].shape[1] for group in look.groups]
        found[f"{name} by word"] = Block("words", look.unbiased, partial(_put_linear, look, sizes))
        put = partial(_put_products, name, look, words.heard, scale)
        found[f"{name} as asked"] = Block("words", look.unbiased * heard, put)
    return found


def _put_linear(look: Look, sizes: Sequence[int], terms: Terms, weights: Tensor) -> None:
    for group, part in zip(look.groups, (look.seen.matrix @ weights).split(sizes), strict=True):
        terms.add(group, part)


def _put_products(name: str, look: Look, heard: Affine, scale: float, terms: Terms, weights: Tensor) -> None:
    scaled = weights * scale
    parts = (look.seen.matrix, look.seen.offset, heard.matrix * scaled, heard.offset * scaled)
    terms.prompted[f"words {name}"] = (look.groups, parts)


def _ridge(x: Tensor, wanted: Tensor, weights: Tensor, ridge: float) -> Affine:
    """Weighted ridge regression of wanted (N, K) on x (N, F), each column's spread made 1 / sqrt(K)."""
    share = (weights / weights.sum())[:, None]
    mean = (share * x).sum(dim=0)
    z = x - mean
    square = z.T @ (share * z) + ridge * torch.eye(x.shape[1])
    matrix = torch.linalg.solve(square, z.T @ (share * (wanted - (share * wanted).sum(dim=0))))
    return centred(mean, matrix / (z @ matrix).std(dim=0).clamp_min(1e-4) / wanted.shape[1] ** 0.5)
