"""Draw many, score them, keep the best: what the page and `hps demo --auto` both do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from lib_hps.diffusion.request import GenerationRequest, Picture, Progress
from lib_hps.errors import InputError
from lib_hps.hosts.standalone.outputs import Saved, job_folder, save_pictures

if TYPE_CHECKING:
    from PIL.Image import Image

    from lib_hps.diffusion.pipeline import Pipeline
    from lib_hps.scoring import Scorer


@dataclass(frozen=True)
class Job:
    """A request, of whose `count` pictures the best `keep` by `scorer` are wanted.

    Raises:
        InputError: `keep` is not 1 or more, or there is nothing to score against.
    """

    request: GenerationRequest
    keep: int
    scorer: str

    def __post_init__(self) -> None:
        if self.keep < 1:
            raise InputError(f"keep is {self.keep!r}; at least 1 picture has to be kept.")
        if not self.request.prompt.strip():
            raise InputError("Write a prompt first: pictures are scored against it.")


@dataclass(frozen=True)
class Ranked:
    """A picture with its score."""

    picture: Picture
    score: float


@dataclass(frozen=True)
class Snapshot:
    """A running or finished job.

    Attributes:
        ranked: the best so far, best first.
        drawn: pictures finished so far.
        progress: the last step; None once the job is over.
        saved: the pictures on disk, once the job is over.
    """

    ranked: tuple[Ranked, ...]
    drawn: int
    progress: Progress | None = None
    saved: tuple[Saved, ...] = ()


class Studio:
    """A pipeline with scorers and an outputs folder.

    Args:
        pipeline: what draws.
        outputs: where finished jobs are written.
        scorer: the one to begin with: a name of `load_scorer`, or the path of a trained classifier.
        device: for scorers.
    """

    def __init__(self, pipeline: Pipeline, outputs: Path, *, scorer: str, device: str = "auto") -> None:
        self.pipeline, self.outputs, self.default_scorer = pipeline, outputs.resolve(), scorer
        self._device = device
        self._scorers: dict[str, Scorer] = {}
        self._lock = Lock()
        self._scoring = Lock()  # one at a time: a scorer that comes in sends the others off the GPU

    def scorer_names(self) -> list[str]:
        """Those that can score right now, the default first."""
        from lib_hps.scoring import list_scorers

        ready = [info.name for info in list_scorers() if info.is_available]
        return list(dict.fromkeys([self.default_scorer, *ready]))

    def scorer(self, name: str) -> Scorer:
        """Load once; only the one in use stays on the GPU.

        Raises:
            InputError, WeightsError, DownloadError: as `load_scorer`.
        """
        from lib_hps.scoring import load_scorer

        with self._lock:
            for other, loaded in self._scorers.items():
                if other != name:
                    loaded.unload()
            if name not in self._scorers:
                self._scorers[name] = load_scorer(name, device=self._device)
            return self._scorers[name]

    def score(self, name: str, images: Sequence[Image | Path], prompt: str) -> list[float]:
        """Scores of pictures of one prompt, higher is better.

        Raises:
            InputError, WeightsError, DownloadError: as `load_scorer` and `Scorer.score`.
        """
        with self._scoring:
            scorer = self.scorer(name)
            return [float(score) for score in scorer.score(list(images), prompt if scorer.needs_prompt else None)]

    def run(self, job: Job, *, cancelled: Callable[[], bool] = lambda: False) -> Iterator[Snapshot]:
        """Give a snapshot after every step and every finished batch; the last one has the saved files.

        After `cancelled()` the pictures that are finished are ranked, saved and given as usual.
        """
        scorer = self.scorer(job.scorer)
        ranked: tuple[Ranked, ...] = ()
        waiting: list[Picture] = []
        drawn = 0
        for event in self.pipeline.stream(job.request):
            if isinstance(event, Picture):
                waiting.append(event)
                drawn += 1
                continue
            if waiting:
                ranked, waiting = self._merged(ranked, waiting, job), []
            yield Snapshot(ranked, drawn, event)
            if cancelled():
                break
        if waiting:
            ranked = self._merged(ranked, waiting, job)
        saved: list[Saved] = []
        if ranked:
            folder = job_folder(self.outputs, job.request.prompt)
            saved = save_pictures(folder, ranked, scorer=scorer.name, total=drawn)
        yield Snapshot(ranked, drawn, None, tuple(saved))

    def _merged(self, ranked: tuple[Ranked, ...], fresh: list[Picture], job: Job) -> tuple[Ranked, ...]:
        """The best `keep` of old and new; equal scores in the order they were drawn."""
        scores = self.score(job.scorer, [picture.image for picture in fresh], job.request.prompt)
        new = [Ranked(picture, score) for picture, score in zip(fresh, scores, strict=True)]
        return tuple(sorted([*ranked, *new], key=lambda one: (-one.score, one.picture.index))[: job.keep])
