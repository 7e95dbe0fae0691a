"""Folders named after grades: bad/ mediocre/ good/ great/, liked/ disliked/, or numbers; the pictures lie in them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lib_hps.errors import HpsError
from lib_hps.infotext import read_generation
from lib_hps.preferences.readers.source import RowError, Source
from lib_hps.preferences.records import BrokenRow, Picture, Record
from lib_hps.ranking import Ranking

_GRADES = {"terrible": 0, "worst": 0, "awful": 0, "bad": 1, "poor": 1, "disliked": 1, "dislike": 1, "rejected": 1}
_GRADES |= {"mediocre": 2, "fair": 2, "ok": 2, "neutral": 2, "good": 3, "liked": 3, "like": 3, "chosen": 3}
_GRADES |= {"great": 4, "excellent": 5, "best": 5}
_SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".avif", ".gif", ".bmp"}
_NAMED = re.compile(r"\d+_(.+)_\d+")  # Simulacra Aesthetic Captions: id_prompt_index
_MOST = 8  # pictures of one choice


@dataclass(frozen=True)
class _Graded:
    picture: Picture
    grade: int
    prompt: str


def recognises(path: Path) -> bool:
    """A folder with at least two folders whose names are grades."""
    return path.is_dir() and len({grade for grade, _ in _grades(path)}) > 1


def read(source: Source) -> Iterator[Record | BrokenRow]:
    """Choices among the pictures of each prompt.

    A picture whose prompt has no picture of another grade goes, with one of each other grade, into a choice of the
    prompt "": better and worse whatever was asked for. Every picture is in exactly one choice; what finds no partner
    is a choice of one. The prompt is the file name (id_prompt_number) or the infotext.
    """
    members: list[_Graded] = []
    for number, (grade, file) in enumerate(_pictures(source.path), 1):
        try:
            name = file.relative_to(source.path).as_posix()
            members.append(_Graded(source.picture(name) if not source.images else Picture(file), grade, _prompt(file)))
        except (RowError, HpsError) as error:
            yield BrokenRow(file, number, str(error))
    by_prompt: dict[str, list[_Graded]] = {}
    for one in members:
        by_prompt.setdefault(one.prompt, []).append(one)
    alone: list[_Graded] = []
    place = 0
    for prompt, group in by_prompt.items():
        whole = prompt and len({one.grade for one in group}) > 1
        alone += [] if whole else group
        for choice in _spread(group) if whole else ():
            place += 1
            yield _record(source, place, prompt, choice)
    for choice in _spread(alone):
        place += 1
        yield _record(source, place, choice[0].prompt if len({one.prompt for one in choice}) == 1 else "", choice)


def _record(source: Source, place: int, prompt: str, choice: Sequence[_Graded]) -> Record:
    return Record(
        id=f"{source.path.name}/{place}",
        prompt=prompt,
        pictures=tuple(one.picture for one in choice),
        ranking=Ranking.from_scores(one.grade for one in choice),
        source=f"{source.path}, choice {place}",
        extra={"scores": [one.grade for one in choice], "prompts": [one.prompt for one in choice]},
    )


def _spread(group: Sequence[_Graded]) -> Iterator[list[_Graded]]:
    """Split into choices of at most `_MOST`, each with as many grades as there are left, all pictures once."""
    grades = sorted({one.grade for one in group})
    piles = [[one for one in group if one.grade == grade] for grade in grades]
    count = max((len(pile) for pile in piles), default=0)
    if len(group) <= _MOST and len({one.prompt for one in group}) == 1:
        yield list(group)
        return
    for at in range(count):
        yield [pile[at] for pile in piles if at < len(pile)]


def _grades(path: Path) -> list[tuple[int, Path]]:
    folders = sorted(one for one in path.iterdir() if one.is_dir())
    names = ((one.name.lower(), one) for one in folders)
    return [
        (int(name) if name.isdecimal() and len(name) < 4 else _GRADES[name], one)
        for name, one in names
        if name in _GRADES or (name.isdecimal() and len(name) < 4)
    ]


def _pictures(path: Path) -> Iterator[tuple[int, Path]]:
    for grade, folder in _grades(path):
        for inner, folders, files in os.walk(folder):
            folders.sort()
            for name in sorted(files):
                if Path(name).suffix.lower() in _SUFFIXES:
                    yield grade, Path(inner) / name


def _prompt(file: Path) -> str:
    found = _NAMED.fullmatch(file.stem)
    if found:
        return found[1].replace("_", " ").strip()
    made = read_generation(file)
    return made.prompt if made else ""
