"""How well each part of a prompt fits a picture by itself.

Prompts of Stable Diffusion are lists of tags, "red apple, watercolour, white background", and one embedding of the
whole list hardly tells which of them a picture lacks. So every tag is asked about alone: how much more of it the
picture has than others do, in standard deviations, and for the first, which mostly names the thing, how likely it is
beside other first tags. Shapes: N pictures, T tags of a prompt, E embedding, M bank.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

_AMONG = (4, 20, 100)  # first tags
_SUBJECT_AT, _OTHERS_AT = 2.0, 1.0  # standard deviations from which a tag counts as there
COLUMNS = 5 + len(_AMONG)
_SAME = 0.999  # cosine: half precision changes a text by less
_SURE = 30.0  # log-odds


def side_by_side(each: Sequence[Tensor]) -> Tensor:
    """Embeddings (T, E) of the tags of N prompts as (N, most T, E), with zeros behind the last."""
    return torch.nn.utils.rnn.pad_sequence(list(each), batch_first=True)


@dataclass(frozen=True)
class Crowd:
    """What pictures and prompts are like on the whole.

    Attributes:
        mean: (E,), of pictures' embeddings.
        covariance: (E, E), of pictures' embeddings.
        subjects: (M, E), first tags, of length 1.
    """

    mean: Tensor
    covariance: Tensor
    subjects: Tensor


def crowd_of(embedding: Tensor, subjects: Tensor) -> Crowd:
    """Of pictures' embeddings (N, E) and a bank of first tags (M, E)."""
    return Crowd(embedding.mean(dim=0), torch.cov(embedding.T), subjects)


def fit_of_tags(embedding: Tensor, tags: Tensor, logit_scale: Tensor, crowd: Crowd) -> Tensor:
    """How well pictures fit the tags of their prompts.

    Args:
        embedding: of the pictures, (N, E), of length 1.
        tags: as `side_by_side` gives them, (N, T, E), of length 1.
        logit_scale: its exponential, ().

    Returns:
        (N, 8): how much there is of the first tag, as it is and squashed; of the others on average, the same; log-odds
        of the first among the bank's, and its probability among 4, 20 and 100 of them.
    """
    there = tags.abs().sum(dim=-1) > 0  # (N, T)
    spread = ((tags @ crowd.covariance) * tags).sum(dim=-1).clamp_min(1e-12).sqrt()
    much = torch.einsum("ne,nte->nt", embedding - crowd.mean, tags) / spread
    others = there.clone()
    others[:, 0] = False
    count = others.sum(dim=1).clamp_min(1)
    means = [(each * others).sum(dim=1) / count for each in (much, (much - _OTHERS_AT).tanh())]
    subject = much[:, 0]
    odds = _odds(embedding, tags[:, 0], logit_scale, crowd.subjects)
    shares = [(odds + torch.tensor(len(crowd.subjects) / among).log()).sigmoid() for among in _AMONG]
    return torch.stack([subject, (subject - _SUBJECT_AT).tanh(), *means, odds, *shares], dim=1)


def _odds(embedding: Tensor, subject: Tensor, logit_scale: Tensor, bank: Tensor) -> Tensor:
    """(N,): CLIP's logit of the own first tag less the log-sum-exp over the others of the bank."""
    own = logit_scale * (embedding * subject).sum(dim=1)
    others = (logit_scale * embedding @ bank.T).masked_fill(subject @ bank.T > _SAME, -torch.inf)
    return (own - others.logsumexp(dim=1)).clamp(-_SURE, _SURE)
