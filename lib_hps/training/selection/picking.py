"""The paper's selection (Human Preference Score, arXiv 2303.14420, "Adaptation"), picture by picture, with reasons."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from lib_hps.errors import InputError
from lib_hps.training.lora.config import NEGATIVE_TEXT

if TYPE_CHECKING:
    from PIL.Image import Image

    from lib_hps.preferences.records import Record

FEWEST = 4
PAPER_RATIO = (37.0, 21.0, 200.0)  # thousands of positive, negative and regularisation pictures
_SHARPNESS = {"cosine": 100.0, "logit": 1.0}
_BLUR = 10
Kind = Literal["positive", "negative", "regularisation"]


@dataclass(frozen=True)
class Picked:
    """One row of the manifest."""

    file: Path
    caption: str
    prompt: str
    kind: Kind
    group: str
    score: float | None
    p: float | None
    reason: str

    def row(self) -> dict[str, object]:
        """As JSON, the file's path as it is."""
        return {**vars(self), "file": str(self.file)}


def is_blurry(image: Image) -> bool:
    """Whether neighbouring pixels differ by less than 10 of 255 everywhere, horizontally and vertically.

    The public script looks horizontally twice; the paper's text is followed.
    """
    pixels = np.asarray(image.convert("RGB"), dtype=np.int16)  # (H, W, 3)
    return all(np.abs(np.diff(pixels, axis=axis)).max(initial=0) < _BLUR for axis in (0, 1))


def sharpness_of(scale: str) -> float:
    """What scores are multiplied by before the softmax: 100 for cosines, as in the paper; 1 for scaled ones.

    Raises:
        InputError: scores of that kind have no such meaning.
    """
    if scale not in _SHARPNESS:
        raise InputError(f"Scores of the kind {scale!r} need a sharpness of their own: give --sharpness.")
    return _SHARPNESS[scale]


def pick(group: str, files: Sequence[tuple[Path, str]], scores: Sequence[float], *, sharpness: float) -> list[Picked]:
    """The best picture of a prompt where softmax(s * score) > 2/n, the worst where softmax(-s * score) > 2/n.

    Args:
        group: of the pictures, one for each prompt.
        files: (picture, prompt), at least four; fewer give nothing.
        scores: one for each.
        sharpness: s.
    """
    count = len(files)
    if count < FEWEST:
        return []
    found = []
    kinds: tuple[tuple[Kind, int], ...] = (("positive", 1), ("negative", -1))
    for kind, sign in kinds:
        p = _softmax(sign * sharpness * np.asarray(scores, dtype=np.float64))
        place = int(p.argmax())
        if p[place] <= 2 / count:
            continue
        file, prompt = files[place]
        end = "best" if sign > 0 else "worst"
        reason = f"{end} of {count}: p = {p[place]:.3f} > {2 / count:.3f}"
        found.append(_picked(file, prompt, kind, group, float(scores[place]), float(p[place]), reason))
    return found


def _softmax(values: np.ndarray) -> np.ndarray:
    powers = np.exp(values - values.max())
    return powers / powers.sum()


def _picked(
    file: Path, prompt: str, kind: Kind, group: str, score: float | None, p: float | None, reason: str
) -> Picked:
    caption = NEGATIVE_TEXT + prompt if kind == "negative" else prompt
    return Picked(file, caption, prompt, kind, group, score, p, reason)


def from_record(record: Record) -> list[Picked]:
    """Of a recorded choice: what beat somebody and was beaten by nobody, and the other way round."""
    beaten = {worse for _, worse in record.ranking.edges}
    beating = {better for better, _ in record.ranking.edges}
    count = len(record.pictures)
    words = f"of {count}, chosen" + (f" by {record.rater}" if record.rater else "")
    ends: tuple[tuple[Kind, set[int], str], ...] = (
        ("positive", beating - beaten, "best"),
        ("negative", beaten - beating, "worst"),
    )
    return [
        _picked(record.pictures[place].path, record.prompt, kind, record.id, None, None, f"{end} {words}")
        for kind, places, end in ends
        for place in sorted(places)
        if record.pictures[place].content is None
    ]


def regularisation(captioned: Iterable[tuple[Path, str]], source: str) -> list[Picked]:
    """Pictures that keep their own caption, so that the model does not forget."""
    return [
        Picked(file, caption, caption, "regularisation", "", None, None, f"from {source}")
        for file, caption in captioned
    ]


def in_ratio(picked: Sequence[Picked], ratio: tuple[float, float, float] | None, *, seed: int = 0) -> list[Picked]:
    """All positives, and by lot no more of the other kinds than stand in the ratio to them; None keeps everything.

    Raises:
        InputError: a ratio without positives, or one that is no number.
    """
    if ratio is None:
        return list(picked)
    if not ratio[0] > 0 or min(ratio) < 0 or not all(np.isfinite(ratio)):
        raise InputError(f"The ratio {ratio} is none: give positive:negative:regularisation, the first above 0.")
    positives = sum(one.kind == "positive" for one in picked)
    kept: set[int] = {index for index, one in enumerate(picked) if one.kind == "positive"}
    for kind, share in (("negative", ratio[1]), ("regularisation", ratio[2])):
        indices = [index for index, one in enumerate(picked) if one.kind == kind]
        most = round(positives * share / ratio[0])
        kept |= set(random.Random(f"{seed} {kind}").sample(indices, min(most, len(indices))))
    return [one for index, one in enumerate(picked) if index in kept]


def pairs_of(picked: Sequence[Picked]) -> list[Mapping[str, str]]:
    """Rows {"prompt", "winner", "loser"} of the groups that have both, for Diffusion-DPO."""
    groups: dict[str, dict[str, list[Picked]]] = {}
    for one in picked:
        if one.kind != "regularisation":
            groups.setdefault(one.group, {}).setdefault(one.kind, []).append(one)
    return [
        {"prompt": better.prompt, "winner": str(better.file), "loser": str(worse.file)}
        for kinds in groups.values()
        for better in kinds.get("positive", [])
        for worse in kinds.get("negative", [])
    ]
