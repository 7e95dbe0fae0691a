"""From paths on the command line to pictures with their prompts."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lib_hps.errors import InputError
from lib_hps.infotext import read_generation

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".avif", ".gif", ".bmp", ".tif", ".tiff"}
SORTED_FOLDER = "hps-sorted"  # what `--sort` makes; never read again as input


@dataclass(frozen=True)
class Item:
    """A picture to be scored, or the reason why it cannot be.

    Attributes:
        stamp: size in bytes and time of change in ns, when it was looked at.
    """

    file: str
    prompt: str = ""
    stamp: tuple[int, int] = (0, 0)
    error: str = ""

    @property
    def key(self) -> tuple[str, int, int, str]:
        """What the journal knows it by: absolute path, size, time of change, prompt."""
        return os.path.abspath(self.file), *self.stamp, self.prompt


def find_pictures(paths: Sequence[str]) -> list[str]:
    """Files as they are given; folders with all below them, sorted; nothing twice.

    Raises:
        InputError: a path that does not exist, or no picture at all.
    """
    found = list(dict.fromkeys(file for path in paths for file in _expand(path)))
    if not found:
        raise InputError(f"There are no pictures in {', '.join(paths)} (looked for {', '.join(sorted(SUFFIXES))}).")
    return found


def _expand(path: str) -> Iterator[str]:
    if not os.path.exists(path):
        raise InputError(f"There is no file or folder {path}.")
    if not os.path.isdir(path):
        yield path
        return
    for folder, inner, names in os.walk(path):
        inner[:] = sorted(name for name in inner if not name.startswith(".") and name != SORTED_FOLDER)
        yield from (
            os.path.join(folder, name)
            for name in sorted(names)
            if Path(name).suffix.lower() in SUFFIXES and name[0] != "."
        )


def read_prompts(meta: Path) -> dict[str, str]:
    """Prompts by absolute path from a JSONL of {"file", "prompt"}; relative files are looked up beside it and here.

    Raises:
        InputError: the file cannot be read, or a line is no such object; names the line.
    """
    prompts: dict[str, str] = {}
    try:
        lines = meta.read_text("utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise InputError(f"The prompts {meta} cannot be read ({error}).") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            file, prompt = row["file"], row["prompt"]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise InputError(
                f'{meta}, line {number}: expected {{"file": ..., "prompt": ...}}, found {line[:80]!r}.'
            ) from error
        if not isinstance(file, str) or not isinstance(prompt, str):
            raise InputError(f"{meta}, line {number}: file and prompt must be text, found {line[:80]!r}.")
        prompts[os.path.abspath(meta.parent / file)] = prompt
        prompts.setdefault(os.path.abspath(file), prompt)
    return prompts


def make_items(
    files: Iterable[str], *, prompt: str | None, prompts: Mapping[str, str] | None, is_prompt_needed: bool
) -> Iterator[Item]:
    """Give each picture its prompt: the one for all, the listed one, or its own infotext's."""
    from lib_hps.scoring import clean_prompt

    for file in files:
        try:
            stat = os.stat(file)
            text = (
                prompt
                if prompt is not None
                else prompts.get(os.path.abspath(file))
                if prompts is not None
                else _own_prompt(file)
            )
        except (InputError, OSError) as error:
            yield Item(file, error=str(error))
            continue
        if is_prompt_needed and (not text or not clean_prompt(text).strip()):
            where = (
                "is not in the list of prompts"
                if prompts is not None
                else "says nothing about its prompt; give --prompt or --prompts"
            )
            yield Item(file, error=f"{file} {where}.")
        else:
            yield Item(file, text or "", (stat.st_size, stat.st_mtime_ns))


def _own_prompt(file: str) -> str | None:
    generation = read_generation(file)
    return generation.prompt if generation else None
