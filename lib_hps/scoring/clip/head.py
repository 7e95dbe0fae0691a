"""A light head that a trained classifier may have on its CLIP: what else of a picture its rater looks at.

The head adds to exp(logit_scale) * cosine, of groups of features (`head_features.describe`): linear terms, products
with the prompt's embedding, waves, which are cosines of random mixtures (Rahimi and Recht 2007) and stand for whatever
is not linear, what small networks that look at the pixels think, how much better the prompt fits than others
(`naming`), and how well its tags fit (`tag_features`). Shapes: N batch, F of a group, E embedding, R rank.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields

import torch
from torch import Tensor

from lib_hps.errors import InputError
from lib_hps.scoring.clip.head_features import FEATURES, OLDEST, THUMBNAIL
from lib_hps.scoring.clip.small_network import see_together
from lib_hps.scoring.clip.tag_features import Crowd, columns_of_tags, width_of

PREFIX = "hps_head."


@dataclass(frozen=True)
class HeadWeights:
    """What a head is made of.

    Attributes:
        cosine: weight () of exp(logit_scale) * cosine.
        linear: weights (F,) by group.
        prompted: by name: groups whose features x stand one behind the other, then (sum of F, R), (R,), (E, R), (R,):
            the sum of (x @ a + b) * (prompt @ c + d).
        waves: by name: groups, then (sum of F, R), (R,), (R,): cos(x @ a + b) @ weights.
        naming: weight () of `naming`, and the bank of prompts (M, E) that it asks about.
        network: weight () of `see_together`, and the networks' parameters.
        tags: weights (K,) of `columns_of_tags`, and the crowd that they compare with.
    """

    cosine: Tensor
    linear: Mapping[str, Tensor] = field(default_factory=dict)
    prompted: Mapping[str, tuple[Sequence[str], Sequence[Tensor]]] = field(default_factory=dict)
    waves: Mapping[str, tuple[Sequence[str], Sequence[Tensor]]] = field(default_factory=dict)
    naming: tuple[Tensor, Tensor] | None = None
    network: tuple[Tensor, Mapping[str, Tensor]] | None = None
    tags: tuple[Tensor, Crowd] | None = None


def naming(cosine: Tensor, logit_scale: Tensor, embedding: Tensor, bank: Tensor) -> Tensor:
    """How much likelier a picture's own prompt is than others: CLIP's logit less the log-sum-exp over a bank, (N,).

    What makes a picture score high whatever is asked for cancels.

    Args:
        cosine: exp(logit_scale) * cosine with the own prompt, (N,).
        logit_scale: its exponential, ().
        embedding, bank: of the pictures (N, E) and of other prompts (M, E), of length 1.
    """
    return cosine - (logit_scale * embedding @ bank.T).logsumexp(dim=1)


class TasteHead:
    """Adds a taste to the cosine."""

    def __init__(self, weights: HeadWeights) -> None:
        tensors = {"cosine": weights.cosine}
        if weights.naming:
            tensors["naming"], tensors["bank"] = weights.naming
        if weights.network:
            tensors["network"] = weights.network[0]
            tensors |= {f"network.{name}": each for name, each in weights.network[1].items()}
        if weights.tags:
            tensors["tags"], crowd = weights.tags
            tensors |= {f"tags.{name}": each for name, each in vars(crowd).items()}
        tensors |= {f"linear.{group}": each for group, each in weights.linear.items()}
        self._reads: dict[str, tuple[str, ...]] = {}
        for kind, terms in (("prompted", weights.prompted), ("waves", weights.waves)):
            for name, (groups, parts) in terms.items():
                self._reads[f"{kind}.{name}"] = tuple(groups)
                tensors |= {f"{kind}.{name}.{place}": each for place, each in enumerate(parts)}
        self._tensors = {name: tensor.detach().float() for name, tensor in tensors.items()}
        self._linear = tuple(weights.linear)

    @classmethod
    def from_tensors(
        cls, reads: Mapping[str, Sequence[str]], tensors: Mapping[str, Tensor], features: int = FEATURES
    ) -> TasteHead:
        """From a file's tensors, whose names begin with `PREFIX`.

        Args:
            reads: as `reads` gives them.
            tensors: as `to_tensors` gives them.
            features: the version of `describe` that it was trained on.

        Raises:
            InputError: a tensor is missing, or its features are not computed here.
        """
        if not OLDEST <= features <= FEATURES:
            way_out = "Update this project" if features > FEATURES else "Train it again from the same choices"
            raise InputError(
                f"The classifier's head reads features of version {features}; this version of the project computes "
                f"{OLDEST} to {FEATURES}. {way_out}."
            )
        mine = {name.removeprefix(PREFIX): tensor for name, tensor in tensors.items()}
        terms: dict[str, dict[str, tuple[Sequence[str], list[Tensor]]]] = {"prompted": {}, "waves": {}}
        try:
            for term, groups in reads.items():
                kind, name = term.split(".", 1)
                count = 4 if kind == "prompted" else 3
                terms[kind][name] = (tuple(groups), [mine[f"{term}.{place}"] for place in range(count)])
            linear = _below("linear.", mine)
            bank = (mine["naming"], mine["bank"]) if "naming" in mine else None
            network = (mine["network"], _below("network.", mine)) if "network" in mine else None
            tags = (mine["tags"], _checked_crowd(mine)) if "tags" in mine else None
            return cls(HeadWeights(mine["cosine"], linear, **terms, naming=bank, network=network, tags=tags))
        except KeyError as error:
            raise InputError(f"The classifier's head lacks {error.args[0]!r}. Train or export it again.") from error

    @property
    def reads(self) -> dict[str, tuple[str, ...]]:
        """The groups that each term reads: what a file must keep beside the tensors."""
        return dict(self._reads)

    def to_tensors(self) -> dict[str, Tensor]:
        """For a file."""
        return {PREFIX + name: tensor.cpu() for name, tensor in self._tensors.items()}

    @property
    def asks_tags(self) -> bool:
        """Whether a call needs `tags`."""
        return "tags" in self._tensors

    def __call__(
        self, described: Mapping[str, Tensor], texts: Tensor, logit_scale: Tensor, tags: Tensor | None = None
    ) -> Tensor:
        """Groups of `describe`, unit text features (N, E) -> scores (N,), in nats.

        Args:
            logit_scale: its exponential, ().
            tags: those of the prompts, as `tag_features.side_by_side` gives them; see `asks_tags`.

        Raises:
            InputError: the head asks for tags and there are none.
        """
        mine = self._tensors = {name: tensor.to(texts.device) for name, tensor in self._tensors.items()}
        cosine = logit_scale * (described["embedding"] * texts).sum(dim=-1)  # (N,)
        scores = mine["cosine"] * cosine
        if "naming" in mine:
            scores = scores + mine["naming"] * naming(cosine, logit_scale, described["embedding"], mine["bank"])
        if "network" in mine:
            scores = scores + mine["network"] * see_together(_below("network.", mine), described[THUMBNAIL])
        if self.asks_tags:
            if tags is None:
                raise InputError("This classifier's head asks for the tags of the prompts: give `tags`.")
            columns = columns_of_tags(described["embedding"], tags, logit_scale, _crowd(mine))
            scores = scores + columns @ mine["tags"]
        for group in self._linear:
            scores = scores + described[group] @ mine[f"linear.{group}"]
        for term, groups in self._reads.items():
            x = torch.cat([described[group] for group in groups], dim=1)
            left = x @ mine[f"{term}.0"] + mine[f"{term}.1"]  # (N, R)
            if term.startswith("waves."):
                scores = scores + torch.cos(left) @ mine[f"{term}.2"]
            else:
                scores = scores + (left * (texts @ mine[f"{term}.2"] + mine[f"{term}.3"])).sum(dim=-1)
        return scores


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Those whose names begin so, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _checked_crowd(tensors: Mapping[str, Tensor]) -> Crowd:
    crowd = _crowd(tensors)
    if len(tensors["tags"]) != width_of(crowd):
        raise InputError(
            f"The classifier's head weighs {len(tensors['tags'])} columns of tags; this version of the project "
            f"computes {width_of(crowd)}. Train it again from the same choices."
        )
    return crowd


def _crowd(tensors: Mapping[str, Tensor]) -> Crowd:
    return Crowd(*(tensors[f"tags.{part.name}"] for part in fields(Crowd)))
