"""The one scorer that the WebUI holds: loaded at first use, off the GPU after the job, replaced by the next."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modules import shared
from PIL import Image

from lib_hps.errors import Cancelled, HpsError, InputError
from lib_hps.scoring import list_scorers, load_scorer
from lib_hps.scoring.ensemble import PREFIX, parse_ensemble

from . import features
from .options import Options

if TYPE_CHECKING:
    from pathlib import Path

    from lib_hps.scoring import Scored, Scorer, ScorerInfo

log = logging.getLogger(__name__)
_WEIGHT_SUFFIXES = (".safetensors", ".pt", ".pth")


@dataclass(frozen=True)
class Judged:
    """Scores of pictures, None where there is none, and what went wrong in one sentence, or ""."""

    scores: tuple[float | None, ...]
    problem: str = ""


class ScorerHolder:
    """Shared by the scripts, the API and the tab; `scripts/hps.py` makes one at each load."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._loaded = ("", "")
        self._scorer: Scorer | None = None

    def get(self, name: str) -> Scorer:
        """The scorer of that name, downloaded and loaded if need be.

        Raises:
            HpsError: unknown, or its weights cannot be had.
        """
        wanted = (name, features.device())
        with self._lock:
            if self._scorer is None or self._loaded != wanted:
                self.unload(drop=True)
                self._scorer = load_scorer(
                    _as_path(name), device=wanted[1], weights_dir=features.weights_dir(), progress=_progress(name)
                )
                self._loaded = wanted
            return self._scorer

    def score(self, name: str, images: Sequence[Image.Image], prompts: Sequence[str]) -> list[float]:
        """(N,) scores of `images`.

        Raises:
            HpsError: see `Scorer.score`.
        """
        with self._lock:
            scorer = self.get(name)
            features.make_room()
            return [float(s) for s in scorer.score(list(images), list(prompts))]

    def score_files(self, name: str, files: Sequence[Path], prompts: Sequence[str]) -> list[Scored]:
        """One outcome per file; one that cannot be read does not stop the rest.

        Raises:
            HpsError: see `Scorer.iter_scores`.
        """
        with self._lock:
            scorer = self.get(name)
            features.make_room()
            return list(scorer.iter_scores(list(files), list(prompts)))

    def judge(self, name: str, images: Sequence[Image.Image], prompts: Sequence[str]) -> Judged:
        """Like `score`, but a failure becomes a message: a generation never fails because of its judge.

        A prompt that cannot be judged (nothing but a LoRA, say) costs its own pictures their scores, not the others.
        """
        if not images:
            return Judged(())
        try:
            scores = [score if math.isfinite(score) else None for score in self.score(name, images, prompts)]
            problem = f"{name} gave no number; its weights are damaged." if None in scores else ""
            return Judged(tuple(scores), problem)
        except InputError as error:
            if len(images) > 1:
                single = [self.judge(name, [image], [prompt]) for image, prompt in zip(images, prompts, strict=True)]
                problems = dict.fromkeys(one.problem for one in single if one.problem)
                return Judged(tuple(one.scores[0] for one in single), " ".join(problems))
            problem = str(error)
        except HpsError as error:
            problem = str(error)
        except Exception as error:  # whatever it was, the pictures matter more
            log.exception("scoring failed")
            problem = f"{type(error).__name__}: {error}"
        log.warning("HPS: %s is not available, pictures stay unsorted. %s", name, problem)
        return Judged((None,) * len(images), problem)

    def rest(self, *, keep_loaded: bool) -> None:
        """After a job: leave the GPU, unless the user wants it to stay there."""
        if self._scorer is not None and (not keep_loaded or features.is_short_of_memory()):
            with self._lock:
                self._scorer.unload()

    def unload(self, *, drop: bool = True) -> bool:
        """Free the model's memory; True if there was one."""
        with self._lock:
            scorer = self._scorer
            if scorer is not None:
                scorer.unload(drop=drop)
            if drop:
                self._scorer, self._loaded = None, ("", "")
            return scorer is not None


def infos() -> list[ScorerInfo]:
    """All scorers known by name, with what is on disk."""
    return list_scorers(features.weights_dir())


def trained_files() -> list[str]:
    """Weight files in the weights folder that no scorer of a known name uses: of other formats, chosen by file name."""
    folder = features.weights_dir()
    known = {info.path.name for info in infos() if info.path}
    files = folder.glob("*") if folder.is_dir() else ()
    return sorted(f.name for f in files if f.suffix in _WEIGHT_SUFFIXES and f.name not in known)


def choices() -> list[str]:
    """Names for a dropdown: what can score now first, then what can be downloaded."""
    known = infos()
    here = [info.name for info in known if info.is_available]
    return [*here, *trained_files(), *(i.name for i in known if not i.is_available and i.is_downloadable)]


def default_scorer() -> str:
    """As the settings have it."""
    return str(getattr(shared.opts, "hps_scorer", "") or Options().scorer)


def is_named(name: str) -> bool:
    """True for a known scorer, a file in the weights folder, or an ensemble of those; never for a path elsewhere.

    Raises:
        InputError: an ensemble that cannot be read.
    """
    members = [member for member, _ in parse_ensemble(name)] if name.startswith(PREFIX) else [name]
    allowed = {*(info.name for info in infos()), *trained_files()}
    return set(members) <= allowed


def _progress(name: str) -> Callable[[int, int | None], None]:
    """Shows a download below the WebUI's progress bar; Interrupt ends it, and the next one goes on from there."""

    def show(done: int, total: int | None) -> None:
        if shared.state.job_count and features.should_stop():
            raise Cancelled(f"The download of {name} was interrupted; the next one goes on where it stopped.")
        share = f"{100 * done // total} %" if total else f"{done >> 20} MiB"
        shared.state.textinfo = f"Downloading {name}: {share}"

    return show


def _as_path(name: str) -> str:
    """A weight file that has no scorer's name is chosen by its file's name in the weights folder."""
    return str(features.weights_dir() / name) if name in trained_files() else name
