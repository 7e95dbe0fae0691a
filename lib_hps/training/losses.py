"""What a preference costs: from the scores of the candidates and what was said of them.

All take scores in nats (a scorer's logit_scale * cosine) and give one mean over the choices. A batch is flat: the
candidates of all choices one behind the other, `sizes` telling where one choice ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from lib_hps.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from lib_hps.ranking import Ranking

PreferenceLoss = Literal["softmax", "plackett-luce", "pairwise"]


def preference_loss(scores: Tensor, rankings: Sequence[Ranking], kind: PreferenceLoss) -> Tensor:
    """Mean loss over choices.

    Args:
        scores: (sum of counts,), in the order of `rankings`.
        rankings: one per choice.
        kind: "softmax": cross-entropy of the softmax over a choice against its best candidates, equal ones sharing
            (HPS, arXiv 2303.14420); "plackett-luce": the likelihood of the whole order, tiers of equals sharing their
            turn; "pairwise": logistic, averaged over the edges of a choice (Bradley-Terry).

    Raises:
        InputError: another number of scores than candidates, or a choice in which nothing is preferred.
    """
    import torch

    sizes = [ranking.count for ranking in rankings]
    if len(scores) != sum(sizes):
        raise InputError(f"{len(scores)} scores were given for choices of {sum(sizes)} candidates. Give one for each.")
    one = {"softmax": _softmax, "plackett-luce": _plackett_luce, "pairwise": _pairwise}[kind]
    return torch.stack([one(part, r) for part, r in zip(scores.split(sizes), rankings, strict=True)]).mean()


def _softmax(scores: Tensor, ranking: Ranking) -> Tensor:
    best = _known(ranking)
    return -scores.log_softmax(dim=0)[best].mean()


def _plackett_luce(scores: Tensor, ranking: Ranking) -> Tensor:
    """- sum over tiers of log(softmax among the tier and all below it), the mean within a tier of equals."""
    _known(ranking)
    tiers = tiers_of(ranking)
    total = scores.new_zeros(())
    for place, tier in enumerate(tiers[:-1]):
        left = [index for later in tiers[place:] for index in later]
        total = total + scores[left].logsumexp(dim=0) - scores[tier].mean()
    return total


def _pairwise(scores: Tensor, ranking: Ranking) -> Tensor:
    from torch.nn.functional import softplus

    _known(ranking)
    better, worse = (list(side) for side in zip(*ranking.edges, strict=True))
    return softplus(scores[worse] - scores[better]).mean()


def tiers_of(ranking: Ranking) -> list[list[int]]:
    """Candidates by the longest chain of better ones above them: the tiers of an order with ties, best first."""
    depth = [0] * ranking.count
    for _ in range(ranking.count):
        for better, worse in ranking.edges:
            depth[worse] = max(depth[worse], depth[better] + 1)
    return [[i for i in range(ranking.count) if depth[i] == level] for level in range(max(depth) + 1)]


def _known(ranking: Ranking) -> list[int]:
    best = list(ranking.best())
    if not best:
        raise InputError("A choice in which no candidate is preferred teaches nothing. Leave it out.")
    return best
