"""What a head can be made of, as columns of a few hundred numbers: the leading directions of each group of features.

Each block of columns has a mean square norm of 1 over the training pictures, so that one prior variance a block says
how much it may move the score. Shapes: N examples (picture and prompt), F of a group, E embedding, R columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lib_hps.scoring.clip.head import HeadWeights

_COLUMNS = 32
_MORE_COLUMNS = {
    "palette": 160,
    "edges": 63,
    "texture": 72,
    "figure": 51,
    "shape": 24,
}  # much of what counts there varies little
_PROMPT_COLUMNS = 24  # with 12, the words for style and ground are lost among the names of things
_LOOK_COLUMNS = 48
_WHITENING = 0.7  # of the small bases, whose products and waves should see more than the leading direction
_LOOK = {"palette": 48, "edges": 32, "texture": 32, "colours": 32, "embedding": 48}
# groups with so many directions of each, and how many waves
_WAVES: dict[str, tuple[dict[str, int], int]] = {
    "style": ({"palette": 16, "edges": 16, "texture": 16, "embedding": 8}, 96),
    "figure": ({"figure": 24, "shape": 12, "rings": 10}, 160),
}


@dataclass(frozen=True)
class Directions:
    """x (N, F) -> (x - mean) @ matrix, (N, R)."""

    mean: Tensor
    matrix: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """Put x there."""
        return (x - self.mean) @ self.matrix

    @property
    def offset(self) -> Tensor:
        """(R,), so that x @ matrix + offset is the same."""
        return -self.mean @ self.matrix


def leading_directions(x: Tensor, count: int, *, whitening: float = 0.0, as_they_are: bool = False) -> Directions:
    """The `count` directions in which standardised features vary most, by random projections with a fixed seed.

    Args:
        x: (N, F).
        count: at most that many.
        whitening: 0 keeps their spreads, 1 makes them equal.
        as_they_are: the features' own spreads count.
    """
    mean, spread = x.mean(dim=0), x.std(dim=0).clamp_min(1e-4)
    spread = torch.ones_like(spread) if as_they_are else spread
    z = (x - mean) / spread
    generator = torch.Generator().manual_seed(0)
    wanted = min(count, *z.shape)
    guess = torch.randn(z.shape[1], min(wanted + 8, *z.shape), generator=generator)
    for _ in range(2):
        guess = torch.linalg.qr(z.T @ (z @ guess))[0]
    _, values, turned = torch.linalg.svd(z @ guess, full_matrices=False)
    values = (values[:wanted] / len(z) ** 0.5).clamp_min(1e-3)
    matrix = guess @ turned[:wanted].T * values**-whitening
    norm = (z @ matrix).square().sum(dim=1).mean().sqrt().clamp_min(1e-6)
    return Directions(mean, matrix / spread[:, None] / norm)


def _waves(x: Tensor, count: int, seed: int) -> tuple[Tensor, Tensor]:
    """(R, count) and (count,): random mixtures as wide as the median distance of two pictures."""
    generator = torch.Generator().manual_seed(seed)
    some = x[torch.randperm(len(x), generator=generator)[:400]]
    width = torch.cdist(some, some).median().clamp_min(1e-6)
    mix = torch.randn(x.shape[1], count, generator=generator) / width
    return mix, 2 * torch.pi * torch.rand(count, generator=generator)


@dataclass(frozen=True)
class _Affine:
    matrix: Tensor
    offset: Tensor


class _Mixture:
    """Directions of several groups at once: each group's own first, then those of all together where asked for."""

    def __init__(self, described: Mapping[str, Tensor], reads: Mapping[str, int], count: int, whitening: float) -> None:
        self.groups = tuple(reads)
        each = [leading_directions(described[group], size, whitening=whitening) for group, size in reads.items()]
        self.whole = _Affine(torch.block_diag(*(one.matrix for one in each)), torch.cat([one.offset for one in each]))
        if count:
            turn = leading_directions(self(described), count, whitening=_WHITENING, as_they_are=True)
            self.whole = _Affine(self.whole.matrix @ turn.matrix, (self.whole.offset - turn.mean) @ turn.matrix)

    def __call__(self, described: Mapping[str, Tensor]) -> Tensor:
        x = torch.cat([described[group] for group in self.groups], dim=1)
        return x @ self.whole.matrix + self.whole.offset


class Basis:
    """The blocks of columns, made from the pictures and prompts of the training choices.

    Args:
        described: (N, F) by group, of `describe`.
        texts: (N, E), of length 1.
    """

    def __init__(self, described: Mapping[str, Tensor], texts: Tensor) -> None:
        self._groups = tuple(described)
        self._linear = {n: leading_directions(x, _MORE_COLUMNS.get(n, _COLUMNS)) for n, x in described.items()}
        self._prompt = leading_directions(texts, _PROMPT_COLUMNS, whitening=_WHITENING)
        self._look = _Mixture(described, _LOOK, _LOOK_COLUMNS, 0.5)
        self._waves: dict[str, tuple[_Mixture, Tensor, Tensor, Tensor]] = {}
        for seed, (name, (reads, count)) in enumerate(_WAVES.items()):
            read = _Mixture(described, reads, 0, _WHITENING)
            mix, phase = _waves(read(described), count, seed)
            self._waves[name] = (read, mix, phase, torch.cos(read(described) @ mix + phase).mean(dim=0))

    @property
    def blocks(self) -> dict[str, str]:
        """Every block and its family: what is left out or kept together."""
        towers = {name: "towers" for name in self._groups if name == "patches" or name.startswith("layer ")}
        found = {name: towers.get(name, "embedding" if name == "embedding" else "pixels") for name in self._groups}
        return {**found, "look x prompt": "prompt", **{f"{n} waves": "waves" for n in _WAVES}}

    def columns(self, described: Mapping[str, Tensor], texts: Tensor) -> list[Tensor]:
        """(N, R) of every block, in the order of `blocks`."""
        found = [directions(described[name]) for name, directions in self._linear.items()]
        found.append((self._look(described)[:, :, None] * self._prompt(texts)[:, None]).flatten(1))
        for read, mix, phase, mean in self._waves.values():
            found.append((torch.cos(read(described) @ mix + phase) - mean) * (2 / len(phase)) ** 0.5)
        return found

    def head(self, cosine: Tensor, weights: Sequence[Tensor]) -> HeadWeights:
        """The head whose score differs from columns @ weights by a constant; blocks whose weights are 0 are left out.

        Args:
            cosine: weight () of exp(logit_scale) * cosine.
            weights: (R,) of every block.
        """
        of = dict(zip(self.blocks, weights, strict=True))
        linear = {name: each.matrix @ of[name] for name, each in self._linear.items() if of[name].any()}
        prompted, waves = {}, {}
        if of["look x prompt"].any():
            turned = of["look x prompt"].view(self._look.whole.matrix.shape[1], -1).T  # (prompt columns, R)
            right, shift = self._prompt.matrix @ turned, self._prompt.offset @ turned
            prompted["look"] = (self._look.groups, (self._look.whole.matrix, self._look.whole.offset, right, shift))
        for name, (read, mix, phase, _) in self._waves.items():
            if of[f"{name} waves"].any():
                scaled = of[f"{name} waves"] * (2 / len(phase)) ** 0.5
                waves[name] = (read.groups, (read.whole.matrix @ mix, read.whole.offset @ mix + phase, scaled))
        return HeadWeights(cosine, linear, prompted, waves)
