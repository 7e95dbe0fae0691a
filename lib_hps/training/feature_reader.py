"""Reads pictures through the frozen part of a model, once: what it gives is kept on disk by the picture's content.

Pictures go through the model in fixed groups of their sorted names, and a group of which anything is missing is
computed whole: a run that was killed while it read goes on to the same bits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lib_hps.errors import InputError

if TYPE_CHECKING:
    import torch
    from accelerate import Accelerator

    from lib_hps.training.choice_task import ChoiceInputs
    from lib_hps.training.feature_cache import FeatureCache

_GROUP = 32


def _nothing(*_: object) -> None:
    pass


class FeatureReader:
    """Features of pictures.

    Args:
        pixels: picture file -> normalised pixels (3, S, S); raises InputError where it cannot be read.
        compute: (N, 3, S, S) -> (N, ...) on the CPU.
        cache: where results are kept; None computes them every time.
    """

    def __init__(
        self,
        pixels: Callable[[Path], torch.Tensor],
        compute: Callable[[torch.Tensor], torch.Tensor],
        cache: FeatureCache | None,
    ) -> None:
        self._pixels, self._compute, self._cache = pixels, compute, cache
        self._names: dict[Path, str] = {}

    def read(self, path: Path) -> torch.Tensor:
        """(...) of one picture.

        Raises:
            InputError: it cannot be read.
        """
        import torch

        found = self._cache.find(self._name(path)) if self._cache else None
        if found is None:
            found = self._compute(torch.stack([self._pixels(path)]))[0]
            found = self._cache.keep(self._name(path), found) if self._cache else found
        return found

    def fill(
        self,
        paths: Iterable[Path],
        *,
        rank: int = 0,
        world: int = 1,
        wait: Callable[[], None] = _nothing,
        take: Callable[[Path, torch.Tensor], None] | None = None,
        progress: Callable[[int], object] = _nothing,
    ) -> dict[Path, str]:
        """Compute what is not kept yet, each process its share of the groups.

        Args:
            paths: of the pictures.
            rank: of this process.
            world: how many processes there are.
            wait: returns when all processes have called it.
            take: gets every picture's features; without it and without a cache the files are only checked.
            progress: called with numbers of pictures.

        Returns:
            The pictures that cannot be read, with the reason.

        Raises:
            StorageError: the cache cannot be written.
        """
        every = sorted(set(paths))
        groups = [every[first : first + _GROUP] for first in range(0, len(every), _GROUP)]
        mine = groups[rank::world] if self._cache else []
        others = [group for number, group in enumerate(groups) if number % world != rank or not self._cache]
        bad: dict[Path, str] = {}
        for part in (mine, others):
            for group in part:
                bad |= self._group(group, take)
                progress(len(group))
            if part is mine:
                wait()  # the others' share lies in the cache now
        return bad

    def _group(self, paths: Sequence[Path], take: Callable[[Path, torch.Tensor], None] | None) -> dict[Path, str]:
        import torch

        bad: dict[Path, str] = {}
        kept: dict[Path, torch.Tensor | None] = {}
        pixels: dict[Path, torch.Tensor] = {}
        for path in paths:
            try:
                kept[path] = self._cache.find(self._name(path)) if self._cache else None
            except InputError as error:
                bad[path] = str(error)
        if any(found is None for found in kept.values()):
            for path in kept:
                try:
                    pixels[path] = self._pixels(path)
                except InputError as error:
                    bad[path] = str(error)
        good = [path for path in kept if path in pixels]
        if good and (self._cache or take):
            rows = self._compute(torch.stack([pixels[path] for path in good]))
            for path, row in zip(good, rows, strict=True):
                if kept[path] is None:
                    kept[path] = self._cache.keep(self._name(path), row) if self._cache else row
        for path, found in kept.items():
            if take and found is not None and path not in bad:
                take(path, found)
        return bad

    def _name(self, path: Path) -> str:
        if path not in self._names:
            try:
                self._names[path] = hashlib.sha256(path.read_bytes()).hexdigest()
            except OSError as error:
                raise InputError(f"Cannot read the picture {path}: {error.strerror}.") from error
        return self._names[path]


def fill_under_a_bar(
    reader: FeatureReader | ChoiceInputs,
    paths: Iterable[Path],
    accelerator: Accelerator,
    take: Callable[[Path, torch.Tensor], None] | None = None,
) -> dict[Path, str]:
    """`FeatureReader.fill` over all processes, with a progress bar in the first."""
    from tqdm import tqdm

    every = sorted(set(paths))
    is_quiet = None if accelerator.is_main_process else True
    with tqdm(total=len(every), unit="picture", desc="reading", disable=is_quiet) as bar:
        return reader.fill(
            every,
            rank=accelerator.process_index,
            world=accelerator.num_processes,
            wait=accelerator.wait_for_everyone,
            take=take,
            progress=bar.update,
        )
