"""Collecting choices without optimising: which pictures to show next, and what was said of them."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from datetime import datetime, timezone
from pathlib import Path
from threading import RLock
from typing import Any

from lib_hps.board.data.browsing import ranking_of
from lib_hps.board.data.pictures import PictureBook
from lib_hps.errors import ConflictError, HpsError, InputError
from lib_hps.infotext import read_generation
from lib_hps.preferences.adding import digest_of
from lib_hps.preferences.choices import LINES, Choice, record, retract
from lib_hps.preferences.reading import read_records
from lib_hps.preferences.records import Picture, Record
from lib_hps.preferences.teaching import next_group

_SUFFIXES = {".png", ".jpg", ".jpeg", ".webp"}
_MOST_AT_ONCE = 4


class Collector:
    """Pictures by prompt, and the folder of choices that the answers go to; what it holds already is known.

    Args:
        choices: the folder of choices.
        count: pictures shown at once, 2 to 4.
        seed: of the order in which equal pairs come.
    """

    def __init__(self, choices: Path, *, count: int = 2, seed: int = 0) -> None:
        if not 2 <= count <= _MOST_AT_ONCE:
            raise InputError(f"{count!r} pictures at once cannot be; 2 to {_MOST_AT_ONCE} are shown.")
        self.choices, self.book, self.is_drawing = choices, PictureBook(), False
        self._count, self._seed = count, seed
        self._lock = RLock()
        self._groups: dict[str, list[str]] = {}
        self._prompts: dict[str, str] = {}
        self._files: dict[str, Path] = {}
        self._answers: dict[str, tuple[frozenset[str], list[tuple[str, str]]]] = {}
        self._open: dict[str, tuple[str, list[str]]] = {}
        self._given: list[str] = []
        self._recall()

    def add(self, file: Path, prompt: str, *, group: str | None = None) -> None:
        """A picture more; one of the same content is there once.

        Args:
            file: of the picture.
            prompt: that it was drawn for.
            group: pictures of one group are asked about together; None: those of one prompt.

        Raises:
            StorageError: it cannot be read.
        """
        name = hashlib.sha256(Picture(file).read()).hexdigest()
        with self._lock:
            if name not in self._files:
                self._files[name] = file
                key = prompt if group is None else group
                self._groups.setdefault(key, []).append(name)
                self._prompts[key] = prompt

    def add_folder(self, folder: Path, *, prompt: str | None = None) -> list[str]:
        """All pictures below a folder, by the prompt of their infotext.

        Args:
            folder: of pictures.
            prompt: for all of them, whatever their infotext says.

        Returns:
            What could not be read, in words.

        Raises:
            InputError: no two pictures of one prompt are there.
        """
        problems = []
        for file in sorted(one for one in folder.rglob("*") if one.suffix.lower() in _SUFFIXES and one.is_file()):
            try:
                made = read_generation(file) if prompt is None else None
                self.add(file, prompt if prompt is not None else made.prompt if made else "")
            except HpsError as error:
                problems.append(str(error))
        if all(len(names) < 2 for names in self._groups.values()):
            raise InputError(f"There are no two pictures of one prompt in {folder}. Give --prompt for all of them.")
        return problems

    def ask(self, *, anew: bool = False) -> dict[str, Any]:
        """A question that is not open yet: the page asks for one ahead, so that its pictures are there at once.

        Args:
            anew: the page was loaded anew, so its open questions are forgotten.
        """
        with self._lock:
            if anew:
                self._open.clear()
            asked = [shown for shown, _ in self._answers.values()] + [frozenset(n) for _, n in self._open.values()]
            wins = [pair for _, pairs in self._answers.values() for pair in pairs]
            seed = self._seed * 1_000_003 + len(asked)
            found = next_group(self._groups, wins, asked, count=self._count, seed=seed)
            state = {"answered": len(self._given), "known": len(self._answers), "is_drawing": self.is_drawing}
            if found is None:
                return {"question": None, **state}
            token = secrets.token_hex(8)
            self._open[token] = found
            return {"question": self._shown(token), **state}

    def answer(self, token: str, order: object) -> dict[str, Any]:
        """Record an answer.

        Args:
            token: of the question.
            order: groups of positions from 0, best first; [] is "equal".

        Raises:
            ConflictError: the question was answered already, or is none.
            InputError: the order is none.
            StorageError: the choice cannot be written; the question stays open.
        """
        with self._lock:
            if token not in self._open:
                raise ConflictError("This question was answered already, or the program was started anew. Reload.")
            group, names = self._open[token]
            ranking = ranking_of(order, len(names))
            weights, best = ranking.weights(), ranking.best()
            choice = Choice(
                id=f"compare/{token}",
                prompt=self._prompts[group],
                pictures=[self._files[name] for name in names],
                edges=ranking.edges,
                best=max(best, key=lambda place: weights[place]) if best else None,
                time=datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
            )
            record(self.choices, choice)
            self._answers[choice.id] = frozenset(names), [(names[a], names[b]) for a, b in ranking.edges]
            self._given.append(choice.id)
            del self._open[token]
            return {"answered": len(self._given)}

    def undo(self) -> dict[str, Any]:
        """Take the last answer of this run back; its question is asked again.

        Raises:
            InputError: there is none.
        """
        with self._lock:
            if not self._given:
                raise InputError("There is no answer to take back.")
            id = self._given[-1]
            question = next(
                (group, sorted(self._answers[id][0]))
                for group, names in self._groups.items()
                if self._answers[id][0] <= set(names)
            )
            retract(self.choices, id)
            self._given.pop()
            del self._answers[id]
            token = secrets.token_hex(8)
            self._open[token] = question
            return {"question": self._shown(token), "answered": len(self._given)}

    def _shown(self, token: str) -> dict[str, Any]:
        group, names = self._open[token]
        keys = [self.book.key(Picture(self._files[name], name=name)) for name in names]
        return {"token": token, "prompt": self._prompts[group], "pictures": keys}

    def _recall(self) -> None:
        """What the folder of choices says of pictures, whoever asked."""
        if not (self.choices / LINES).is_file():
            return
        found: Iterable = read_records(self.choices, layout="choices", labels_only=True)
        for one in found:
            if isinstance(one, Record):
                names = [digest_of(picture) for picture in one.pictures]
                self._answers[one.id] = frozenset(names), [(names[a], names[b]) for a, b in one.ranking.edges]
