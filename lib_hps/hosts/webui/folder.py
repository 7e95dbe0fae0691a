"""A folder of pictures, scored once and looked at in different ways; nothing on disk changes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from modules import shared
from modules.call_queue import queue_lock

from lib_hps.errors import InputError
from lib_hps.infotext import read_generation
from lib_hps.rerank import score_text
from lib_hps.scoring import clean_prompt

from .scorers import ScorerHolder

_SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".avif"}
MOST_PICTURES = 5000
_SCORED_AT_ONCE = 32  # between these a generation may have its turn


@dataclass(frozen=True)
class Rated:
    """One picture of the folder with its score."""

    path: str
    score: float
    prompt: str

    @property
    def caption(self) -> str:
        """What the gallery writes below it."""
        return f"{score_text(self.score)}  {Path(self.path).name}"


@dataclass(frozen=True)
class View:
    """Which of the scored pictures are looked at.

    Attributes:
        least: pictures below it are not shown; None shows all.
        words: of which every one must be in the prompt or in the file's name.
        most: at most so many; 0 shows all.
    """

    least: float | None = None
    words: str = ""
    most: int = 0

    def of(self, rated: list[Rated]) -> list[Rated]:
        """Best first."""
        words = self.words.lower().split()
        chosen = [
            one
            for one in rated
            if (self.least is None or one.score >= self.least)
            and all(word in f"{one.prompt} {Path(one.path).name}".lower() for word in words)
        ]
        chosen.sort(key=lambda one: (-one.score, one.path))
        return chosen[: self.most] if self.most else chosen


def find_pictures(folder: str, *, with_subfolders: bool) -> list[Path]:
    """The pictures of a folder, by name.

    Raises:
        InputError: no such folder, too many pictures, or the WebUI was told not to let folders be chosen.
    """
    if getattr(shared.cmd_opts, "hide_ui_dir_config", False):
        raise InputError("Folders cannot be chosen here: the WebUI runs with --hide-ui-dir-config.")
    root = Path(folder.strip()).expanduser()
    if not folder.strip() or not root.is_dir():
        raise InputError(f"There is no folder {folder!r} on the machine where the WebUI runs.")
    found = root.rglob("*") if with_subfolders else root.iterdir()
    files = sorted(file for file in found if file.suffix.lower() in _SUFFIXES)
    if len(files) > MOST_PICTURES:
        raise InputError(f"{folder!r} holds {len(files)} pictures, more than {MOST_PICTURES}. Use `hps score` for it.")
    return files


def rate(
    holder: ScorerHolder, files: list[Path], *, scorer: str, prompt: str
) -> Iterator[tuple[list[Rated], list[str]]]:
    """Score `files`, and yield what is known so far: the rated ones, and a sentence for each that was left out.

    Args:
        prompt: for all; empty takes each picture's own from its infotext.

    Raises:
        HpsError: the scorer cannot be had.
    """
    rated: list[Rated] = []
    problems: list[str] = []
    try:
        for start in range(0, len(files), _SCORED_AT_ONCE):
            with queue_lock:
                needs_prompt = holder.get(scorer).needs_prompt
                usable: dict[Path, str] = {}
                for file in files[start : start + _SCORED_AT_ONCE]:
                    try:
                        usable[file] = _prompt_for(file, prompt, is_needed=needs_prompt)
                    except InputError as error:
                        problems.append(str(error))
                paths = list(usable)
                for one in holder.score_files(scorer, paths, list(usable.values())):
                    if one.score is None or not math.isfinite(one.score):
                        problems.append(str(one.error or f"{scorer} gave no number; its weights are damaged."))
                    else:
                        rated.append(Rated(str(paths[one.index]), one.score, usable[paths[one.index]]))
            yield rated, problems
    finally:
        holder.rest(keep_loaded=False)


def _prompt_for(file: Path, given: str, *, is_needed: bool) -> str:
    """What the picture is judged by.

    Raises:
        InputError: it needs a prompt and has none.
    """
    own = given.strip() or getattr(read_generation(file), "prompt", "")
    if is_needed and not clean_prompt(own).strip():
        raise InputError(f"{file.name} has no prompt of its own; write one above.")
    return own
