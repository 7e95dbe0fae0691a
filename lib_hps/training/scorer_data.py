"""Preferences as a trainer takes them: files, prompts and rankings, split so that no prompt is on two sides."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lib_hps.errors import InputError, StorageError
from lib_hps.files import atomic_write
from lib_hps.preferences.reading import read_records
from lib_hps.preferences.records import BrokenRow, Picture, Record
from lib_hps.scoring.prompts import clean_prompt
from lib_hps.training.choice_task import TrainingChoice

NO_PROMPT = "a picture"
"""What a choice without words (graded pictures) is scored against."""


@dataclass
class Gathered:
    """What a data set held.

    Attributes:
        choices: that prefer something.
        problems: rows and pictures that cannot be used, one line each.
        undecided: answers in which nothing is preferred; they teach nothing.
    """

    choices: list[TrainingChoice] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    undecided: int = 0


def gather(data: Path, scratch: Path, *, layout: str | None = None, images: Path | None = None) -> Gathered:
    """Read a data set; pictures that have no file of their own are written into `scratch`.

    Raises:
        InputError: no data that is known here, or not one choice in it.
    """
    found = Gathered()
    for row in read_records(data, layout=layout, images=images):
        if isinstance(row, BrokenRow):
            found.problems.append(str(row))
            continue
        prompt = clean_prompt(row.prompt).strip() if row.prompt.strip() else NO_PROMPT
        if not row.ranking.best() or len(row.pictures) < 2:
            found.undecided += 1
        elif not prompt:
            found.problems.append(f"{row.source or row.id}: nothing is left of the prompt {row.prompt!r}.")
        else:
            _add(found, row, prompt, scratch)
    if not found.choices:
        raise InputError(
            f"{data} holds no choice to learn from ({found.undecided} without a preference, {len(found.problems)} "
            f"that cannot be used{': ' + found.problems[0] if found.problems else ''})."
        )
    return found


def _add(found: Gathered, row: Record, prompt: str, scratch: Path) -> None:
    try:
        files = tuple(_file(picture, scratch) for picture in row.pictures)
        found.choices.append(TrainingChoice(prompt, files, row.ranking))
    except StorageError as error:
        found.problems.append(f"{row.source or row.id}: {error}")


def _file(picture: Picture, scratch: Path) -> Path:
    if picture.content is None:
        return picture.path
    target = scratch / hashlib.sha256(picture.content).hexdigest()
    if not target.is_file():
        with atomic_write(target) as stream:
            stream.write(picture.content)
    return target


def without(choices: Iterable[TrainingChoice], bad: Iterable[Path]) -> list[TrainingChoice]:
    """The choices all of whose pictures can be read."""
    broken = set(bad)
    return [choice for choice in choices if not broken.intersection(choice.images)]


def side_of(prompt: str, seed: int) -> float:
    """Where a prompt lies in 0..1: from its words and the seed alone, whatever else the data hold."""
    name = f"{seed}\n{' '.join(prompt.lower().split())}"
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:6], "big") / 2**48


def side_of_choice(choice: TrainingChoice, seed: int) -> float:
    """As `side_of`; a choice without a prompt (graded pictures) goes by its pictures."""
    if choice.prompt != NO_PROMPT:
        return side_of(choice.prompt, seed)
    return side_of(" ".join(sorted(image.name for image in choice.images)), seed)


def split(
    choices: Sequence[TrainingChoice], *, validation: float, test: float, seed: int
) -> tuple[list[TrainingChoice], list[TrainingChoice], list[TrainingChoice]]:
    """Training, validation and test choices; all choices of a prompt lie on one side.

    Raises:
        InputError: nothing is left to train on.
    """
    sides: tuple[list[TrainingChoice], ...] = ([], [], [])
    for choice in choices:
        at = side_of_choice(choice, seed)
        sides[2 if at < test else 1 if at < test + validation else 0].append(choice)
    if not sides[0]:
        raise InputError("Every prompt fell on the side of validation or test. Give more prompts, or smaller shares.")
    return sides[0], sides[1], sides[2]


def readable(choices: Sequence[TrainingChoice]) -> tuple[list[TrainingChoice], list[str]]:
    """The choices all of whose pictures can be opened, and one line for each picture that cannot."""
    from lib_hps.scoring.images import open_image

    bad: dict[Path, str] = {}
    for path in dict.fromkeys(image for choice in choices for image in choice.images):
        try:
            open_image(path)
        except InputError as error:
            bad[path] = str(error)
    return without(choices, bad), [f"{path}: {why}" for path, why in bad.items()]
