"""The outputs folder: one folder for each job, best picture first by name, everything written with its infotext."""

from __future__ import annotations

import json
import re
import time
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lib_hps.files import atomic_write
from lib_hps.infotext import png_info

if TYPE_CHECKING:
    from lib_hps.hosts.standalone.studio import Ranked


@dataclass(frozen=True)
class Saved:
    """A picture on disk.

    Attributes:
        rank: 1 is the best of its job.
        score: what the job's scorer gave.
    """

    path: Path
    infotext: str
    rank: int
    score: float


def job_folder(outputs: Path, prompt: str) -> Path:
    """A fresh folder `<day>/<time>-<first words>` below `outputs`; it is made."""
    words = re.sub(r"[^\w]+", "-", prompt).strip("-").lower()[:40] or "picture"
    stem = outputs / time.strftime("%Y-%m-%d") / f"{time.strftime('%H%M%S')}-{words}"
    number = 1
    while True:
        folder = stem if number == 1 else stem.with_name(f"{stem.name}-{number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            number += 1
        else:
            return folder


def save_pictures(folder: Path, ranked: Sequence[Ranked], *, scorer: str, total: int) -> list[Saved]:
    """Write PNGs (`01_seed5.png`, best first) and `scores.jsonl`.

    Args:
        folder: of the job.
        ranked: best first.
        scorer: its name, for the infotext.
        total: how many pictures were drawn, kept or not: "HPS rank: 2/16".

    Raises:
        StorageError: the disk is full or the folder is not writable; what was written stays.
    """
    digits = max(2, len(str(len(ranked))))
    saved = []
    for rank, entry in enumerate(ranked, 1):
        infotext = entry.picture.infotext(HPS=f"{entry.score:.4f}", HPS_scorer=scorer, HPS_rank=f"{rank}/{total}")
        path = folder / f"{rank:0{digits}d}_seed{entry.picture.seed}.png"
        with atomic_write(path) as stream:
            entry.picture.image.save(stream, "PNG", pnginfo=png_info(infotext))
        saved.append(Saved(path, infotext, rank, entry.score))
    with atomic_write(folder / "scores.jsonl", "w") as stream:
        for one, entry in zip(saved, ranked, strict=True):
            row = {
                "file": one.path.name,
                "prompt": entry.picture.prompt,
                "scorer": scorer,
                "score": round(one.score, 6),
                "rank": one.rank,
            }
            stream.write(json.dumps(row, ensure_ascii=False) + "\n")
    return saved


def zip_job(saved: Sequence[Saved]) -> Path:
    """All pictures of one job as `<job>.zip` beside them."""
    folder = saved[0].path.parent
    target = folder / f"{folder.name}.zip"
    with atomic_write(target) as stream, zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for one in [*(one.path for one in saved), folder / "scores.jsonl"]:
            archive.write(one, one.name)
    return target


def history(outputs: Path, limit: int = 120) -> list[Path]:
    """The newest pictures, newest job first, best first within a job."""
    found: list[Path] = []
    for day in _folders(outputs):
        for job in _folders(day):
            found += sorted(path for path in job.glob("*.png") if not path.name.startswith("."))
            if len(found) >= limit:
                return found[:limit]
    return found


def _folders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(
        (inner for inner in folder.iterdir() if inner.is_dir() and not inner.name.startswith(".")), reverse=True
    )
