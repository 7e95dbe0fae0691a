"""Parts of a data set for training, validation and test, such that no prompt is in two of them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path

from lib_hps.errors import InputError
from lib_hps.preferences.adding import row_of, suffix_of
from lib_hps.preferences.choices import append_rows, keep_picture
from lib_hps.preferences.exporting import new_folder, readable
from lib_hps.preferences.records import BrokenRow, Record

_ROWS_AT_ONCE = 64


def part_of(record: Record, shares: Mapping[str, float], seed: int) -> str:
    """Which part a record belongs to: by its prompt alone, without regard to case and spaces.

    Args:
        record: one without a prompt goes by its id.
        shares: part -> share of the prompts, which sum to 1.
        seed: another seed gives another split.
    """
    prompt = " ".join(record.prompt.casefold().split())
    words = f"{seed}\0{prompt}" if prompt else f"{seed}\0\0{record.id}"
    at = int.from_bytes(hashlib.blake2b(words.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big") / 2**64
    for name, share in shares.items():
        at -= share
        if at < 0:
            return name
    return next(reversed(dict(shares)))


def split_records(
    target: Path,
    records: Iterable[Record | BrokenRow],
    shares: Mapping[str, float],
    *,
    seed: int,
    report: Callable[[BrokenRow], None],
) -> dict[str, int]:
    """Write each part as a folder of choices below `target`; nothing appears until all is written.

    Returns:
        part -> number of choices.

    Raises:
        InputError: shares that are not between 0 and 1 or do not sum to 1, or the target is there.
        StorageError: it cannot be written.
    """
    if any(not 0 <= share <= 1 for share in shares.values()) or abs(sum(shares.values()) - 1) > 1e-9:
        raise InputError(f"The shares {dict(shares)} are no split: each from 0 to 1, together 1.")
    counts = dict.fromkeys((name for name, share in shares.items() if share), 0)
    waiting: dict[str, list[dict]] = {name: [] for name in counts}
    with ExitStack() as stack:
        draft = stack.enter_context(new_folder(target))
        for record, contents in readable(records, report):
            part = part_of(record, shares, seed)
            names = [keep_picture(draft / part, content, suffix_of(content)) for content in contents]
            waiting[part].append(row_of(record, names))
            counts[part] += 1
            if len(waiting[part]) >= _ROWS_AT_ONCE:
                append_rows(draft / part, waiting[part])
                waiting[part] = []
        for part, rows in waiting.items():
            if rows:
                append_rows(draft / part, rows)
    return counts
