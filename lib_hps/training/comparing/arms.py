"""What is compared: the base model, and the base with one LoRA file each."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lib_hps.errors import InputError

BASE = "base"


@dataclass(frozen=True)
class Arm:
    """One column.

    Attributes:
        name: its heading; a LoRA is asked for by it.
        lora: the file; None for the base.
        strength: of the LoRA.
        negative: what its card puts in front of the negative prompt, such as "Weird image. ".
    """

    name: str
    lora: Path | None = None
    strength: float = 1.0
    negative: str = ""

    def prompt(self, plain: str) -> str:
        """The prompt that draws with this arm."""
        return plain if self.lora is None else f"{plain}<lora:{self.name}:{self.strength:g}>"


def read_arms(words: Sequence[str]) -> list[Arm]:
    """The base, and an arm for each `[NAME=]FILE[:STRENGTH]`.

    Raises:
        InputError: a file is not there, a strength is no number, or two arms have one name.
    """
    arms = [Arm(BASE), *(_arm(word) for word in words)]
    if len(arms) < 2:
        raise InputError("There is nothing to compare with the base. Give at least one --lora FILE.")
    names = [arm.name for arm in arms]
    double = next((name for name in names if names.count(name) > 1), None)
    if double:
        raise InputError(f"Two columns would be called {double!r}. Name them: --lora NAME=FILE.")
    return arms


def _arm(word: str) -> Arm:
    name, mark, rest = word.partition("=")
    text = rest if mark else word
    path, strength = Path(text), 1.0
    if not path.is_file() and ":" in text:
        before, _, after = text.rpartition(":")
        try:
            path, strength = Path(before), float(after)
        except ValueError:
            strength = math.nan
    if not path.is_file() or not math.isfinite(strength):
        raise InputError(f"--lora {word!r} is no file. Write FILE, FILE:0.8 or NAME=FILE:0.8.")
    name = name if mark else path.stem
    if not name or any(letter in name for letter in "<>:/\\"):
        raise InputError(f"{name!r} cannot be a column's name. Choose one without <, >, : and slashes.")
    return Arm(name, path, strength, _negative_of(path))


def _negative_of(path: Path) -> str:
    """Of the card beside the file; what cannot be read is none."""
    try:
        card = json.loads(path.with_suffix(".json").read_text("utf-8"))
        return str(card.get("negative text") or "")
    except (OSError, ValueError, AttributeError):
        return ""
