"""What a head is fitted on, the blocks of columns that it can be made of, and the head that their weights make.

Shapes: N examples (picture and prompt), F of a group, E embedding, R columns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor

from lib_hps.scoring.clip.head import HeadWeights
from lib_hps.scoring.clip.tag_features import Crowd


def is_of_tower(group: str) -> bool:
    """Whether a group of `describe` is read off the layers of the image tower."""
    return group == "patches" or group.startswith("layer ")


@dataclass(frozen=True)
class Table:
    """All examples: groups of `describe` (N, F), prompts and their embeddings (N, E), exp(logit_scale) * cosine (N,).

    Attributes:
        scale: exp(logit_scale), ().
        tags: embeddings (T, E) of each different prompt's tags.
    """

    described: Mapping[str, Tensor]
    prompts: Sequence[str]
    texts: Tensor
    cosine: Tensor
    scale: Tensor
    tags: Mapping[str, Tensor]


@dataclass
class Terms:
    """Of a head, to be."""

    linear: dict[str, Tensor] = field(default_factory=dict)
    prompted: dict[str, tuple[Sequence[str], Sequence[Tensor]]] = field(default_factory=dict)
    waves: dict[str, tuple[Sequence[str], Sequence[Tensor]]] = field(default_factory=dict)
    naming: tuple[Tensor, Tensor] | None = None
    tags: tuple[Tensor, Crowd] | None = None

    def add(self, group: str, weights: Tensor) -> None:
        """Linear weights (F,) of a group, beside those that are there."""
        self.linear[group] = self.linear[group] + weights if group in self.linear else weights


@dataclass(frozen=True)
class Block:
    """Columns that one prior variance belongs to.

    Attributes:
        family: what is left out or kept together.
        columns: (N, R), of the training examples.
        put: adds what weights (R,) make of the columns to a head; up to a constant.
    """

    family: str
    columns: Tensor
    put: Callable[[Terms, Tensor], None]


def head_of(
    blocks: Mapping[str, Block],
    cosine: Tensor,
    weights: Sequence[Tensor],
    network: tuple[Tensor, Mapping[str, Tensor]] | None = None,
) -> HeadWeights:
    """The head whose score differs from columns @ weights by a constant; blocks whose weights are 0 are left out.

    Args:
        blocks: of `make_blocks`.
        cosine: weight () of exp(logit_scale) * cosine.
        weights: (R,) of every block.
        network: weight () and parameters of small networks beside the columns.
    """
    terms = Terms()
    for block, mine in zip(blocks.values(), weights, strict=True):
        if mine.any():
            block.put(terms, mine)
    return HeadWeights(cosine, terms.linear, terms.prompted, terms.waves, terms.naming, network, terms.tags)
