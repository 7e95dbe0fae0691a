"""Sharing a folder among processes when `accelerate launch` (or torchrun) started several of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

T = TypeVar("T")
_LONGEST_WAIT_DAYS = 30  # a slow process must not be taken for a dead one; the launcher ends all if one fails


@dataclass(frozen=True)
class Share:
    """This process's place among all.

    Attributes:
        rank: 0 to count - 1; 0 merges and writes.
        device: where this process should score; None leaves the choice to the scorer.
        wait: returns when every process has called it.
    """

    rank: int
    count: int
    device: str | None
    wait: Callable[[], None]

    def of(self, items: Iterable[T], block: int) -> Iterator[T]:
        """Every `count`-th block of `block` items: whole batches, so that they are composed as in a single process."""
        rest = iter(items)
        number = 0
        while batch := list(islice(rest, block)):
            if number % self.count == self.rank:
                yield from batch
            number += 1


def join() -> Share:
    """Join the other processes, if there are any; accelerate is imported only then."""
    if int(os.environ.get("WORLD_SIZE", "1")) <= 1:
        return Share(0, 1, None, lambda: None)
    from datetime import timedelta

    from accelerate import PartialState

    from lib_hps.scoring.device import must_launch_on_cpu

    state = PartialState(cpu=must_launch_on_cpu(), timeout=timedelta(days=_LONGEST_WAIT_DAYS))
    return Share(state.process_index, state.num_processes, str(state.device), state.wait_for_everyone)
