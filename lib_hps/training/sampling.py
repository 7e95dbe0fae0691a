"""Which examples a step sees: from (seed, step) alone, whatever the number of processes and resumes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

_STEP_STRIDE = 0x9E3779B97F4A7C15  # spreads (seed, step, index) over 64 bits
_MASK = (1 << 63) - 1


def batch_indices(step: int, *, count: int, batch: int, seed: int) -> list[int]:
    """The `batch` examples of a step: epochs of `count` examples, each shuffled anew, laid end to end.

    Args:
        step: from 0.
        count: examples in the data set.
        batch: examples in a step, all processes and accumulated parts together.
        seed: of the run.
    """
    first = step * batch
    found: list[int] = []
    while len(found) < batch:
        epoch, at = divmod(first + len(found), count)
        found += _shuffled(epoch, count, seed)[at : at + batch - len(found)]
    return found


def bucketed_indices(step: int, buckets: Sequence[Sequence[int]], *, batch: int, micro: int, seed: int) -> list[int]:
    """As `batch_indices`, in runs of `micro` examples that lie in one bucket.

    An epoch is every bucket, shuffled and cut into runs, in a random order of runs; a bucket that `micro` does not
    divide is filled up from its own beginning.

    Args:
        step: from 0.
        buckets: which examples fit together.
        batch: a multiple of `micro`.
        micro: examples in a run.
        seed: of the run.
    """
    runs = [(number, first) for number, bucket in enumerate(buckets) for first in range(0, len(bucket), micro)]
    found: list[int] = []
    for at in range(step * batch // micro, (step + 1) * batch // micro):
        epoch, place = divmod(at, len(runs))
        number, first = runs[_shuffled(epoch, len(runs), seed)[place]]
        bucket = buckets[number]
        order = _shuffled(epoch, len(bucket), seed + number + 1)
        found += [bucket[order[(first + i) % len(bucket)]] for i in range(micro)]
    return found


def example_generator(seed: int, step: int, index: int) -> torch.Generator:
    """A generator for the random choices about one example in one step (crop, noise, dropout)."""
    import torch

    mixed = (seed * _STEP_STRIDE + step * 1_000_003 + index + 1) * _STEP_STRIDE
    return torch.Generator().manual_seed(mixed & _MASK)


@lru_cache(maxsize=64)
def _shuffled(epoch: int, count: int, seed: int) -> list[int]:
    import torch

    generator = torch.Generator().manual_seed((seed * _STEP_STRIDE + epoch) & _MASK)
    return torch.randperm(count, generator=generator).tolist()
