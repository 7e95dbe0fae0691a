"""Scoring many files: journalled, resumable, shared among processes, in constant memory."""

from __future__ import annotations

import os
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from lib_hps.cli.folder.inputs import Item
from lib_hps.cli.folder.journal import Journal, finished, journal_path, journals, read_journals
from lib_hps.cli.folder.launch import Share
from lib_hps.scoring.pipeline import batched

if TYPE_CHECKING:
    from lib_hps.scoring import Scorer

_BLOCK = 64  # pictures a process takes at a time; a multiple of the scorers' batch sizes


@dataclass
class Outcome:
    """What became of the pictures: (file, prompt, score) and reasons."""

    scored: list[tuple[str, str, float]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    reused: int = 0


def identity(scorer: Scorer, weights: str | None) -> str:
    """What a journal's scores belong to: scorer, version, and the weight file with its size and time."""
    if weights is None or not os.path.exists(weights):
        return f"{scorer.name}@{scorer.version}"
    stat = os.stat(weights)
    return f"{scorer.name}@{scorer.version}@{os.path.abspath(weights)}:{stat.st_size}:{stat.st_mtime_ns}"


def score_items(
    scorer: Scorer,
    items: Sequence[Item],
    *,
    out: Path | None,
    weights: str | None,
    share: Share,
    batch_size: int | None,
) -> Outcome | None:
    """Score what no journal beside `out` holds yet.

    Returns:
        the merged outcome in the order of `items` in process 0; None in the others.

    Raises:
        KeyboardInterrupt: after what was scored is safe in the journal.
    """
    name = identity(scorer, weights)
    done = finished(out, name) if out else {}
    good, problems = _sound(items)
    share.wait()  # all have read the old journals before anyone writes
    block = batch_size or _BLOCK
    pending = list(_unfinished(share.of(good, block), done, scorer.batch_size))
    fresh, failed = _score(scorer, pending, Journal(journal_path(out, share.rank), name) if out else None, share)
    share.wait()
    if share.rank != 0:
        return None
    if out:
        fresh = finished(out, name)
        failed = _failures(out, name)
    outcome = Outcome(problems=problems, reused=sum(item.key in done for item in good))
    for item in good:
        score = fresh.get(item.key)
        if score is not None:
            outcome.scored.append((item.file, item.prompt, score))
        else:
            outcome.problems.append(failed.get(os.path.abspath(item.file), f"{item.file} was not scored."))
    return outcome


def discard_journals(out: Path) -> None:
    """Remove the journals of a run whose rows are written."""
    for path in journals(out):
        path.unlink(missing_ok=True)


def _sound(items: Sequence[Item]) -> tuple[list[Item], list[str]]:
    problems = [item.error for item in items if item.error]
    return [item for item in items if not item.error], problems


def _unfinished(items: Iterable[Item], done: Container[tuple[str, int, int, str]], batch_size: int) -> Iterator[Item]:
    """Whole batches of which anything is missing: composed as in a run that nobody stopped, for equal scores."""
    for batch in batched(items, batch_size):
        if any(item.key not in done for item in batch):
            yield from batch


def _failures(out: Path, name: str) -> dict[str, str]:
    return {line["file"]: str(line["error"]) for line in read_journals(out, name) if "error" in line}


def _score(
    scorer: Scorer, items: list[Item], journal: Journal | None, share: Share
) -> tuple[dict[tuple[str, int, int, str], float], dict[str, str]]:
    """Score in one stream, so that reading ahead never pauses; a bar with rate and time left in process 0."""
    from tqdm import tqdm

    scores: dict[tuple[str, int, int, str], float] = {}
    failed: dict[str, str] = {}
    files = [item.file for item in items]
    prompts = [item.prompt for item in items] if scorer.needs_prompt else None
    try:
        with tqdm(total=len(items), unit="picture", disable=True if share.rank else None) as bar:
            for scored in scorer.iter_scores(files, prompts) if items else ():
                item = items[scored.index]
                if scored.score is None:
                    failed[os.path.abspath(item.file)] = str(scored.error)
                    if journal:
                        journal.add(item, error=str(scored.error))
                else:
                    score = round(float(scored.score), 6)
                    scores[item.key] = score
                    if journal:
                        journal.add(item, score=score)
                bar.update()
    finally:
        if journal:
            journal.close()
    return scores, failed
