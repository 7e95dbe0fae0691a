"""Reading ahead: files are decoded in a few threads while the model works on the batch before. No torch here."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from lib_hps.errors import InputError

T = TypeVar("T")
R = TypeVar("R")


def default_workers() -> int:
    """Threads for decoding: one per core that this process may use, at most 16."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(16, cores))


def prefetch(
    function: Callable[[T], R], items: Iterable[T], *, workers: int, ahead: int
) -> Iterator[tuple[int, R | InputError]]:
    """Map in threads, in order, never more than `ahead` results waiting: memory stays constant over any number.

    Yields:
        (index, result), or (index, error) where `function` raised InputError; anything else it raises is raised here.
    """
    pending: deque[Future[R | InputError]] = deque()

    def attempt(item: T) -> R | InputError:
        try:
            return function(item)
        except InputError as error:
            return error

    with ThreadPoolExecutor(workers, thread_name_prefix="hps-decode") as pool:
        try:
            index = 0
            for item in items:
                pending.append(pool.submit(attempt, item))
                if len(pending) >= ahead:
                    yield index, pending.popleft().result()
                    index += 1
            while pending:
                yield index, pending.popleft().result()
                index += 1
        finally:
            for future in pending:
                future.cancel()


def batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of `size` items, the last one shorter."""
    batch: list[T] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
