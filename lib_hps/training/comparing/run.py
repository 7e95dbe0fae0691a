"""Draw every arm's pictures and score them; what is done already is kept, so a killed run goes on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lib_hps.diffusion.lora_file import addnet_hash
from lib_hps.files import atomic_write
from lib_hps.training.comparing.arms import Arm
from lib_hps.training.selection.drawing import PipelineArtist, draw_all

if TYPE_CHECKING:
    from PIL.Image import Image

    from lib_hps.diffusion.pipeline import Pipeline
    from lib_hps.scoring import Scorer
    from lib_hps.training.selection.drawing import Look

_SCORES = "scores.jsonl"
_AT_ONCE = 64


@dataclass
class Cell:
    """One prompt with one seed.

    Attributes:
        files: by arm.
        scores: by judge, then by arm.
    """

    prompt: str
    seed: int
    files: dict[str, Path] = field(default_factory=dict)
    scores: dict[str, dict[str, float]] = field(default_factory=dict)


class _ArmArtist:
    """A pipeline that draws with one arm's LoRA."""

    def __init__(self, pipeline: Pipeline, arm: Arm) -> None:
        self._artist, self._arm = PipelineArtist(pipeline), arm

    @property
    def facts(self) -> Mapping[str, str]:
        """See `Artist`."""
        lora = addnet_hash(self._arm.lora)[:12] if self._arm.lora else ""
        return {**self._artist.facts, "lora": lora, "strength": f"{self._arm.strength:g}"}

    def draw(self, prompt: str, seed: int, look: Look) -> tuple[Image, str]:
        """See `Artist`."""
        return self._artist.draw(prompt, seed, look)


def draw_cells(
    pipeline: Pipeline,
    arms: Sequence[Arm],
    prompts: Sequence[str],
    seeds: int,
    folder: Path,
    look: Look,
    *,
    on_picture: Callable[[], object] = lambda: None,
) -> list[Cell]:
    """Draw `folder/pictures/<arm>/...`, the same prompts and seeds for every arm.

    Args:
        pipeline: that knows every arm's LoRA by its name.
        arms: the columns.
        prompts: without LoRAs.
        seeds: pictures of each prompt and arm.
        folder: of the comparison.
        look: shared by all; an arm's own negative text is put in front of its negative prompt.
        on_picture: is called for each.

    Raises:
        InputError: the folder holds pictures that were drawn otherwise, or a LoRA does not fit.
    """
    cells: dict[tuple[int, int], Cell] = {}
    for arm in arms:
        artist, seen = _ArmArtist(pipeline, arm), replace(look, negative=arm.negative + look.negative)
        words = [arm.prompt(prompt) for prompt in prompts]
        found = draw_all(artist, words, seeds, folder / "pictures" / arm.name, seen, on_picture=on_picture)
        for place, (_, seed, file) in enumerate(found):
            number = place // seeds
            cell = cells.setdefault((number, seed), Cell(prompts[number], seed))
            cell.files[arm.name] = file
    return list(cells.values())


def score_cells(cells: Sequence[Cell], judges: Mapping[str, Scorer], folder: Path) -> None:
    """Fill `scores` in; what `folder/scores.jsonl` knows of the same picture and scorer is not computed again.

    Raises:
        InputError: a picture cannot be read.
        StorageError: the folder cannot be written.
    """
    file = folder / _SCORES
    known = _known(file)
    digests = {path: hashlib.sha256(path.read_bytes()).hexdigest() for cell in cells for path in cell.files.values()}
    for judge, scorer in judges.items():
        who = f"{scorer.name} {scorer.version}"
        wanted = [(cell, arm) for cell in cells for arm in cell.files]
        missing = [(cell, arm) for cell, arm in wanted if (who, digests[cell.files[arm]], cell.prompt) not in known]
        for first in range(0, len(missing), _AT_ONCE):
            part = missing[first : first + _AT_ONCE]
            scores = scorer.score([cell.files[arm] for cell, arm in part], [cell.prompt for cell, _ in part])
            for (cell, arm), score in zip(part, scores.tolist(), strict=True):
                known[who, digests[cell.files[arm]], cell.prompt] = score
            _write(file, known)
        for cell, arm in wanted:
            cell.scores.setdefault(judge, {})[arm] = known[who, digests[cell.files[arm]], cell.prompt]


def _known(file: Path) -> dict[tuple[str, str, str], float]:
    found: dict[tuple[str, str, str], float] = {}
    for line in file.read_text("utf-8").splitlines() if file.is_file() else []:
        try:
            row = json.loads(line)
            found[row["scorer"], row["sha256"], row["prompt"]] = float(row["score"])
        except (ValueError, KeyError, TypeError):
            continue  # computed again
    return found


def _write(file: Path, known: Mapping[tuple[str, str, str], float]) -> None:
    with atomic_write(file, "w") as stream:
        for (who, digest, prompt), score in known.items():
            row = {"scorer": who, "sha256": digest, "prompt": prompt, "score": score}
            stream.write(json.dumps(row, ensure_ascii=False) + "\n")
