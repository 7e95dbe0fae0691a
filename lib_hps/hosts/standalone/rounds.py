"""The standalone host as the board wants it: draws a round from noise recipes, scores, and finishes the winner."""

from __future__ import annotations

import shutil
from collections.abc import Generator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from lib_hps.board.host import Arrived, FinalOrder, Order, ScorerLine, Step
from lib_hps.diffusion.bundled import EXAMPLE
from lib_hps.diffusion.noise import ImageNoise
from lib_hps.diffusion.request import GenerationRequest, Picture, Progress
from lib_hps.diffusion.samplers import SAMPLERS
from lib_hps.errors import InputError, StorageError
from lib_hps.hosts.standalone.outputs import job_folder
from lib_hps.hosts.standalone.studio import Studio
from lib_hps.noise import NoiseRecipe

if TYPE_CHECKING:
    from torch import Tensor

    from lib_hps.diffusion.pipeline import Pipeline

_TINY_PX = 256


class StandaloneHost:
    """A studio for the board. One picture is drawn at a time, so that it never depends on its neighbours in a batch.

    Args:
        studio: pipeline, scorers and outputs folder.
        files: classifiers by path, besides the studio's scorers; they answer to their stems and to their paths.
    """

    draws_itself = True
    finishes_itself = True

    def __init__(self, studio: Studio, *, files: Sequence[str] = ()) -> None:
        self._studio, self._pipeline, self._files = studio, studio.pipeline, list(files)
        # a model of emoji falls apart at twice the size that it was trained for, a real one does not
        self.final_strength = 0.15 if self._pipeline.native_side_px < _TINY_PX else 0.4
        self._busy = Lock()  # sessions take turns, picture by picture

    def defaults(self) -> dict[str, Any]:
        """Settings that suit the model."""
        side = self._pipeline.native_side_px
        is_tiny = side < _TINY_PX
        return {
            **({"prompt": EXAMPLE} if is_tiny else {}),
            "negative": "",
            "steps": 20,
            "sampler": "DDIM" if is_tiny else "DPM++ 2M Karras",
            "cfg": 4.0 if is_tiny else 7.0,
            "width": side,
            "height": side,
            "model": self._pipeline.name,
        }

    def samplers(self) -> list[str]:
        """Names of the menu."""
        return list(SAMPLERS)

    def check_settings(self, settings: Mapping[str, Any]) -> None:
        """Refuse what cannot be drawn here.

        Raises:
            InputError: a value out of range, or the settings are those of another model.
        """
        if settings["model"] != self._pipeline.name:
            raise InputError(
                f"This session is drawn by the model {settings['model']!r}, but {self._pipeline.name!r} is loaded. "
                "Start with that checkpoint, or change the session's setting 'model'."
            )
        request_of(settings, seed=0)

    def scorers(self) -> list[ScorerLine]:
        """The default first, then those that are ready, then the rest."""
        from lib_hps.scoring import list_scorers

        ready = dict.fromkeys(self._names(), True)
        rest = {info.name: False for info in list_scorers() if info.name not in ready}
        return [ScorerLine(name, is_ready) for name, is_ready in {**ready, **rest}.items()]

    def score(self, scorer: str, pictures: Sequence[Path], prompt: str) -> list[float]:
        """Scores by one scorer."""
        return self._studio.score(self._names().get(scorer, scorer), pictures, prompt)

    def _names(self) -> dict[str, str]:
        """What scorers are called here -> what loads them: a file by its stem, so that no path is told to anybody."""
        names = {_label(name): name for name in [*self._studio.scorer_names(), *self._files]}
        return {**names, **{name: name for name in self._files}}

    def draw(self, order: Order) -> Generator[Step | Arrived, None, None]:
        """Draw a round; in-loop noise is that of the session's seed for every candidate."""
        request = request_of(order.settings, seed=order.seed)
        for place, item in enumerate(order.items):
            with self._busy:
                picture = None
                for event in draw_recipe(self._pipeline, request, NoiseRecipe.parse(item.recipe)):
                    if isinstance(event, Picture):
                        picture = event
                    else:
                        yield Step((place + event.fraction) / len(order.items))
            if picture is not None:
                yield Arrived(item.index, picture.image, picture.infotext(**item.infotext))

    def finish(self, order: FinalOrder) -> Generator[Step | Arrived, None, None]:
        """A second pass over the picture at its full size."""
        from PIL import Image

        request = request_of(order.settings, seed=order.seed)
        with Image.open(order.picture) as opened:
            image = opened.convert("RGB")
        with self._busy:
            for event in self._pipeline.refine(
                request, image, width=order.width, height=order.height, strength=order.strength
            ):
                if isinstance(event, Picture):
                    yield Arrived(order.item.index, event.image, event.infotext(**order.item.infotext))
                else:
                    yield Step(event.fraction)

    def keep(self, picture: Path) -> Path | None:
        """A copy among the outputs, where the history looks; its path from the outputs' parent."""
        from lib_hps.infotext import read_generation

        found = read_generation(picture)
        folder = job_folder(self._studio.outputs, found.prompt if found else "")
        target = folder / f"01_{picture.stem[:8]}.png"
        try:
            shutil.copyfile(picture, target)
        except OSError as error:
            with suppress(OSError):
                target.unlink(missing_ok=True)
            raise StorageError(f"Cannot write {target}: {error.strerror}. Free some space.") from error
        return target.relative_to(self._studio.outputs.parent)


def _label(scorer: str) -> str:
    return Path(scorer).stem if Path(scorer).expanduser().is_file() else scorer


def request_of(settings: Mapping[str, Any], *, seed: int) -> GenerationRequest:
    """A session's settings as a request for one picture.

    Raises:
        InputError: a value out of range.
    """
    names = ("prompt", "negative", "steps", "sampler", "cfg", "width", "height")
    return GenerationRequest(**{name: settings[name] for name in names}, seed=seed)


def draw_recipe(
    pipeline: Pipeline, request: GenerationRequest, recipe: NoiseRecipe
) -> Generator[Progress | Picture, None, None]:
    """Draw the one picture of a recipe; `request.seed` is that of the in-loop noise alone."""
    noise = realise(pipeline, request, recipe)
    yield from pipeline.stream(request, noise=noise, seeds=(request.seed,))


def realise(pipeline: Pipeline, request: GenerationRequest, recipe: NoiseRecipe) -> Tensor:
    """The recipe's noise, (1, C, H/8, W/8) float32 on the CPU, of the very noises that the seeds alone would give."""
    import torch

    shape = pipeline.latent_shape(request)
    return recipe.realise(lambda seed: ImageNoise([seed], shape, torch.device("cpu")).draw())
