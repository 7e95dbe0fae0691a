"""How well each part of a prompt fits a picture by itself.

Prompts of Stable Diffusion are lists of tags, "red apple, watercolour, white background", and one embedding of the
whole list hardly tells which of them a picture lacks. So every tag is asked about alone: how much more of it the
picture has than others do, in standard deviations; of the first, which mostly names the thing, how likely it is beside
other first tags; and of those that exclude each other, as styles and backgrounds do, how likely each is among its
rivals. Shapes: N pictures, T tags of a prompt, E embedding, M bank of first tags, Q of frequent tags, K kinds of those.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

_AMONG = (4, 20, 100)  # first tags
_SUBJECT_AT, _OTHERS_AT = 2.0, 1.0  # standard deviations from which a tag counts as there
_SHARPNESS = (1.0, 0.5)  # of the shares, over CLIP's own
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
        frequent: (Q, E), tags of many prompts, of length 1.
        apart: (Q, Q), 1 where two of them exclude each other, else 0.
        kinds: (Q, K), 1 where a tag is of a kind, as all styles are: tags that exclude each other, and their rivals.
    """

    mean: Tensor
    covariance: Tensor
    subjects: Tensor
    frequent: Tensor
    apart: Tensor
    kinds: Tensor


def crowd_of(embedding: Tensor, subjects: Tensor, frequent: Tensor, apart: Tensor) -> Crowd:
    """Of pictures' embeddings (N, E), a bank of first tags (M, E), and frequent tags as `Crowd` has them."""
    return Crowd(embedding.mean(dim=0), torch.cov(embedding.T), subjects, frequent, apart, kinds_of(apart))


def kinds_of(apart: Tensor) -> Tensor:
    """(Q, K): the connected parts of the graph of rivals, in the order of their first tags."""
    joined = apart.bool() | torch.eye(len(apart), dtype=torch.bool)
    for _ in range(len(apart)):
        joined = (joined.float() @ joined.float()).bool()
    firsts = [row for row in range(len(apart)) if joined[row].sum() > 1 and not joined[row, :row].any()]
    return joined[:, firsts].float()


def width_of(crowd: Crowd) -> int:
    """How many columns `columns_of_tags` gives."""
    return width_of_fit(crowd) + len(_SHARPNESS) * len(crowd.frequent)


def width_of_fit(crowd: Crowd) -> int:
    """How many columns `fit_of_tags` gives."""
    return 8 + len(_AMONG) + 2 * crowd.kinds.shape[1]


def columns_of_tags(embedding: Tensor, tags: Tensor, logit_scale: Tensor, crowd: Crowd) -> Tensor:
    """`fit_of_tags` and `shares_of_tags`, side by side: (N, 11 + 2 K + 2 Q)."""
    shares = shares_of_tags(embedding, logit_scale, crowd)
    return torch.cat([fit_of_tags(embedding, tags, logit_scale, crowd), shares], dim=1)


def shares_of_tags(embedding: Tensor, logit_scale: Tensor, crowd: Crowd) -> Tensor:
    """How likely each frequent tag is among its rivals, whatever was asked for: (N, 2 Q).

    As sharply as CLIP sees it, and half so. 0 for a tag without rivals.
    """
    rivalled = crowd.apart.any(dim=1)
    found = []
    for sharpness in _SHARPNESS:
        logits = sharpness * logit_scale * embedding @ crowd.frequent.T  # (N, Q)
        rest = logits[:, None].masked_fill(crowd.apart == 0, -torch.inf).logsumexp(dim=-1)
        found.append(torch.where(rivalled, (logits - rest).sigmoid(), 0.0))
    return torch.cat(found, dim=1)


def fit_of_tags(embedding: Tensor, tags: Tensor, logit_scale: Tensor, crowd: Crowd) -> Tensor:
    """How well pictures fit the tags of their prompts.

    Args:
        embedding: of the pictures, (N, E), of length 1.
        tags: as `side_by_side` gives them, (N, T, E), of length 1.
        logit_scale: its exponential, ().

    Returns:
        (N, 11 + 2 K): how much there is of the first tag, as it is and squashed; of the others on average, the same;
        log-odds of the first among the bank's, and its probability among 4, 20 and 100 of them; how much there is of
        frequent tags that are not asked for, squashed, on average; of those whose rivals are not asked for either, how
        much there is of the strongest, as it is and squashed; of the others of each kind log-odds among their rivals,
        and then probabilities, sums over tags.
    """
    there = tags.abs().sum(dim=-1) > 0  # (N, T)
    away = embedding - crowd.mean
    much = torch.einsum("ne,nte->nt", away, tags) / _spread(tags, crowd)
    others = there.clone()
    others[:, 0] = False
    means = [_mean(each, others) for each in (much, (much - _OTHERS_AT).tanh())]
    subject = much[:, 0]
    odds = _odds(embedding, tags[:, 0], logit_scale, crowd.subjects)
    shares = [(odds + torch.tensor(len(crowd.subjects) / among).log()).sigmoid() for among in _AMONG]
    first = [subject, (subject - _SUBJECT_AT).tanh(), *means, odds, *shares]
    asked = tags @ crowd.frequent.T > _SAME  # (N, T, Q)
    found = torch.stack([*first, *_unsaid(away, asked.any(dim=1), crowd)], dim=1)
    asked_beside = asked & others[:, :, None]
    among_rivals = _odds_of_rivals(embedding, asked_beside, logit_scale, crowd)
    of_kind = asked_beside.float() @ crowd.kinds  # (N, T, K)
    kinds = [(each[:, :, None] * of_kind).sum(dim=1) for each in (among_rivals, among_rivals.sigmoid())]
    return torch.cat([found, *kinds], dim=1)


def _unsaid(away: Tensor, asked: Tensor, crowd: Crowd) -> list[Tensor]:
    """How much pictures have of frequent tags that their prompts lack: three columns of `fit_of_tags`.

    A prompt that names no background mostly means none of those that others name.

    Args:
        away: the pictures' embeddings less their mean, (N, E).
        asked: which frequent tags the prompt has, (N, Q).
    """
    much = away @ crowd.frequent.T / _spread(crowd.frequent, crowd)  # (N, Q)
    rivals_asked = asked.float() @ crowd.apart > 0
    is_open = crowd.apart.any(dim=1) & ~asked & ~rivals_asked
    lowest = much.new_full((len(much), 1), -torch.inf)  # there may be no frequent tag at all
    strongest = torch.cat([much.masked_fill(~is_open, -torch.inf), lowest], dim=1).amax(dim=1)
    strongest, squashed = (
        torch.where(is_open.any(dim=1), each, 0.0) for each in (strongest, (strongest - _OTHERS_AT).tanh())
    )
    return [_mean((much - _OTHERS_AT).tanh(), ~asked), strongest, squashed]


def _spread(tags: Tensor, crowd: Crowd) -> Tensor:
    """Of tags (..., E): the standard deviation of the pictures' cosines, (...)."""
    return ((tags @ crowd.covariance) * tags).sum(dim=-1).clamp_min(1e-12).sqrt()


def _mean(values: Tensor, which: Tensor) -> Tensor:
    """Over those of each row that are meant, (N,); 0 where none is."""
    return (values * which).sum(dim=1) / which.sum(dim=1).clamp_min(1)


def _odds(embedding: Tensor, subject: Tensor, logit_scale: Tensor, bank: Tensor) -> Tensor:
    """(N,): CLIP's logit of the own first tag less the log-sum-exp over the others of the bank."""
    own = logit_scale * (embedding * subject).sum(dim=1)
    others = (logit_scale * embedding @ bank.T).masked_fill(subject @ bank.T > _SAME, -torch.inf)
    return (own - others.logsumexp(dim=1)).clamp(-_SURE, _SURE)


def _odds_of_rivals(embedding: Tensor, asked: Tensor, logit_scale: Tensor, crowd: Crowd) -> Tensor:
    """(N, T): CLIP's logit of each tag less the log-sum-exp over its rivals; 0 of tags without any.

    Args:
        asked: (N, T, Q), which frequent tag each tag is.
    """
    logits = logit_scale * embedding @ crowd.frequent.T  # (N, Q)
    is_rival = asked.float() @ crowd.apart > 0  # (N, T, Q)
    rest = logits[:, None].masked_fill(~is_rival, -torch.inf).logsumexp(dim=-1)
    own = torch.einsum("nq,ntq->nt", logits, asked.float())
    return torch.where(is_rival.any(dim=-1), own - rest, 0.0).clamp(-_SURE, _SURE)
