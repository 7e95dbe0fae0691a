"""What the trainer is given: rows of a manifest, or pairs of a better and a worse picture of one prompt."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from lib_hps.errors import InputError

Kind = Literal["positive", "negative", "regularisation"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True)
class TrainingPicture:
    """A picture with the caption that it is trained on (for a negative one "Weird image. " stands in front)."""

    file: Path
    caption: str
    kind: Kind
    prompt: str
    group: str


@dataclass(frozen=True)
class TrainingPair:
    """Two pictures of one prompt."""

    prompt: str
    winner: Path
    loser: Path


def read_manifest(path: Path) -> list[TrainingPicture]:
    """Rows {"file", "caption", "kind", "prompt"?, "group"?} of a JSONL file, as `hps select` writes it.

    Raises:
        InputError: the file cannot be read, or a row is no such row; named.
    """
    found = []
    for number, row in _rows(path):
        kind = row.get("kind", "regularisation")
        if not isinstance(row.get("file"), str) or not isinstance(row.get("caption"), str) or kind not in KINDS:
            raise InputError(
                f"Line {number} of {path} is no row of a manifest: it needs file, caption, and kind "
                f"({', '.join(KINDS)}). Make one with hps select."
            )
        prompt = str(row.get("prompt") or row["caption"])
        found.append(
            TrainingPicture(path.parent / row["file"], row["caption"], kind, prompt, str(row.get("group", prompt)))
        )
    if not found:
        raise InputError(f"{path} has no rows, so there is nothing to train on.")
    return found


def read_pairs(path: Path) -> list[TrainingPair]:
    """Pairs for DPO, from rows {"prompt", "winner", "loser"}, a folder of recorded choices, or a manifest.

    A manifest's groups give a pair where they have a positive and a negative picture.

    Raises:
        InputError: no pairs there, or a damaged row.
    """
    if path.is_dir():
        file = path / "pairs.jsonl"
        pairs = _pairs_of_rows(file) if file.is_file() else _pairs_of_choices(path)
    else:
        first = next((row for _, row in _rows(path)), {})
        pairs = _pairs_of_rows(path) if "winner" in first else _pairs_of_manifest(path)
    if not pairs:
        raise InputError(f"{path} has no pair of a better and a worse picture, so there is nothing to train on.")
    return pairs


def _pairs_of_rows(path: Path) -> list[TrainingPair]:
    found = []
    for number, row in _rows(path):
        if not all(isinstance(row.get(key), str) for key in ("prompt", "winner", "loser")):
            raise InputError(f"Line {number} of {path} is no pair: it needs prompt, winner and loser.")
        found.append(TrainingPair(row["prompt"], path.parent / row["winner"], path.parent / row["loser"]))
    return found


def _pairs_of_manifest(path: Path) -> list[TrainingPair]:
    groups: dict[str, dict[Kind, list[TrainingPicture]]] = {}
    for picture in read_manifest(path):
        groups.setdefault(picture.group, {}).setdefault(picture.kind, []).append(picture)
    return [
        TrainingPair(better.prompt, better.file, worse.file)
        for kinds in groups.values()
        for better in kinds.get("positive", ())
        for worse in kinds.get("negative", ())
    ]


def _pairs_of_choices(folder: Path) -> list[TrainingPair]:
    from lib_hps.preferences.choices import read_choices

    found = []
    for row in read_choices(folder):
        pictures = [folder / name for name in row["file_path"]]
        edges = row.get("edges")
        if edges is None:  # align_sd's own rows know the best picture alone
            best = row["human_preference"]
            edges = [(best, other) for other in range(len(pictures)) if other != best] if best >= 0 else []
        found += [TrainingPair(row["prompt"], pictures[better], pictures[worse]) for better, worse in edges]
    return found


def _rows(path: Path) -> list[tuple[int, dict[str, Any]]]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"Cannot read {path}: {getattr(error, 'strerror', None) or error}.") from error
    rows = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise InputError(f"Line {number} of {path} is no JSON ({error}).") from error
        if not isinstance(row, dict):
            raise InputError(f"Line {number} of {path} is no JSON object.")
        rows.append((number, row))
    return rows


def mixed(pictures: Sequence[TrainingPicture], ratios: tuple[float, float, float] | None) -> list[TrainingPicture]:
    """An epoch in which the kinds stand in the ratio asked for, scarce ones repeated; nothing is thrown away.

    Args:
        pictures: of all kinds; kinds without pictures are left out, the others keep their ratio.
        ratios: positive, negative, regularisation; None is the list as it is.
    """
    if ratios is None:
        return list(pictures)
    of = {kind: [picture for picture in pictures if picture.kind == kind] for kind in KINDS}
    wanted = {kind: ratio for kind, ratio in zip(KINDS, ratios, strict=True) if ratio and of[kind]}
    if not wanted:
        raise InputError("The ratio leaves out every kind of picture that the manifest has. Change it.")
    scale = max(len(of[kind]) / ratio for kind, ratio in wanted.items())
    return [of[kind][i % len(of[kind])] for kind, ratio in wanted.items() for i in range(max(1, round(scale * ratio)))]


def kept_out(prompts: Sequence[str], count: int) -> list[str]:
    """Up to `count` prompts, at most a tenth of them, that samples are drawn of and nothing is trained on.

    Chosen by their hash: the same whatever else is in the manifest.
    """
    unique = sorted(set(prompts), key=lambda prompt: hashlib.sha256(prompt.encode()).digest())
    return unique[: min(count, len(unique) // 10)]
