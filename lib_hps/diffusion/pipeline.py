"""Text to image on any SD1, SD2 or SDXL single file, offline, with a look in and a way out at every step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lib_hps.diffusion.architectures import Config
from lib_hps.diffusion.checkpoint import Family, read_checkpoint, short_hash
from lib_hps.diffusion.decoding import Decoder
from lib_hps.diffusion.denoiser import Denoiser
from lib_hps.diffusion.guiding import Guide, Guided
from lib_hps.diffusion.lora import LoraModel
from lib_hps.diffusion.lora_prompt import LoraFolder
from lib_hps.diffusion.noise import ImageNoise
from lib_hps.diffusion.request import GenerationRequest, Picture, Progress, infotext_settings
from lib_hps.diffusion.samplers import SAMPLERS, Run, moves, moves_left
from lib_hps.diffusion.schedules import NoiseSchedule
from lib_hps.errors import InputError

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image
    from torch import Tensor

    from lib_hps.diffusion.loading import TextTower
    from lib_hps.diffusion.second_pass import SecondPass


class Pipeline:
    """A loaded model. Make one with `load_pipeline`; it holds no state between jobs.

    Attributes:
        name: the file's stem, the infotext's "Model".
        native_side_px: side of the square pictures that the model was trained for.
        device: where it runs.
        loras: what `<lora:name:1>` in prompts puts on the model, for others to use as well.
    """

    def __init__(
        self,
        path: Path,
        *,
        family: Family,
        unet: Any,
        decoder: Decoder,
        towers: list[TextTower],
        config: Config,
        is_v: bool,
        lora_dir: Path | None = None,
        lora_files: Mapping[str, Path] | None = None,
    ) -> None:
        self._path, self._unet, self._decoder, self._towers, self.family = path, unet, decoder, towers, family
        self._schedule = NoiseSchedule(
            config.get("linear_start", 0.00085), config.get("linear_end", 0.012), config.get("timesteps", 1000)
        )
        self.loras = LoraModel(unet, [tower.model for tower in towers])
        denoiser = Denoiser(unet, self._schedule, is_v=is_v)
        self._guide = Guide(towers, denoiser, self.loras, LoraFolder(lora_dir, lora_files))
        self.native_side_px = 8 * int(config.get("image_size", 128 if family == "sdxl" else 64))
        self.name = path.stem
        self.device: torch.device = unet.device

    @cached_property
    def model_hash(self) -> str:
        """The WebUI's short hash of the file."""
        return short_hash(self._path)

    def latent_shape(self, request: GenerationRequest) -> tuple[int, int, int]:
        """(C, H/8, W/8) of one picture."""
        return self._unet.config.in_channels, request.height // 8, request.width // 8

    def generate(
        self,
        request: GenerationRequest,
        *,
        noise: Tensor | None = None,
        seeds: tuple[int, ...] | None = None,
        progress: Callable[[Progress], None] | None = None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Iterator[Picture]:
        """Give the pictures as their batches are finished; after `cancelled()` the iterator ends early.

        Args:
            request: what to draw.
            noise: (count, C, H/8, W/8), in place of the seeds' own initial noise; in-loop noise follows the seeds.
            seeds: one per picture in place of seed, seed + 1, ...; equal seeds share their in-loop noise.
            progress: called after every step.
            cancelled: asked at every step.

        Raises:
            InputError: `noise` or `seeds` of the wrong shape, or a LoRA that is not there.
            WeightsError: a LoRA that does not fit this model.
        """
        for event in self.stream(request, noise=noise, seeds=seeds):
            if isinstance(event, Picture):
                yield event
            elif progress is not None:
                progress(event)
            if cancelled() and not isinstance(event, Picture):
                return

    def stream(
        self, request: GenerationRequest, *, noise: Tensor | None = None, seeds: tuple[int, ...] | None = None
    ) -> Iterator[Progress | Picture]:
        """Like `generate`, as one stream of steps and pictures; to cancel, stop taking from it."""
        seeds = request.seeds if seeds is None else seeds
        shape = (request.count, *self.latent_shape(request))
        if len(seeds) != request.count:
            raise InputError(f"{len(seeds)} seeds were given for {request.count} pictures. Give one for each.")
        if noise is not None and (tuple(noise.shape) != shape or not bool(noise.isfinite().all())):
            raise InputError(
                f"The noise has the shape {tuple(noise.shape)} or holds NaN; finite numbers of {shape} are needed."
            )
        self._guide.read(request)
        return self._stream(request, noise, seeds)

    def refine(
        self, request: GenerationRequest, image: Image, *, width: int, height: int, strength: float
    ) -> Iterator[Progress | Picture]:
        """Draw a finished picture again at another size: the WebUI's hires fix with a pixel upscaler (Lanczos).

        The picture is enlarged, encoded, noised up to `strength` of the schedule, and drawn from there in
        `request.steps` steps. Noise is that of `request.seed` at the new size.

        Args:
            request: as for the picture itself; its own size is that of the first pass.
            image: RGB, of the first pass.
            width: wanted, pixels, a multiple of 8.
            height: wanted, pixels, a multiple of 8.
            strength: 0 only enlarges; 1 draws anew. The WebUI's "Denoising strength".

        Raises:
            InputError: a value out of range.
        """
        from lib_hps.diffusion.second_pass import SecondPass

        second = SecondPass(request, width=width, height=height, strength=strength)
        self._guide.read(request)
        return self._refine(second, image)

    def _refine(self, second: SecondPass, image: Image) -> Iterator[Progress | Picture]:
        request = second.request
        with self._guide.guided(request) as guided:
            yield from self._refined(second, image, guided)

    def _refined(self, second: SecondPass, image: Image, guided: Guided) -> Iterator[Progress | Picture]:
        request = second.request
        source = ImageNoise((request.seed,), self.latent_shape(request), self.device)
        latent = self._decoder.encode(second.enlarged(image), seed=request.seed).to(self.device)  # (1, C, H/8, W/8)
        run = Run(
            guided.eps,
            self._schedule,
            source.draw(),
            second.steps,
            source.draw,
            latent=latent,
            skipped=second.skipped(moves(request.sampler, second.steps, self._schedule)),
        )
        steps = moves_left(request.sampler, second.steps, self._schedule, run.skipped)
        x = latent
        for number, step in enumerate(SAMPLERS[request.sampler][0](run) if second.strength else (), 1):
            x = step.x
            yield Progress(0, 1, number, steps, 1, partial(self._decoder.preview, step.x0))
        settings = self._settings(second.first, request.seed, guided)
        yield Picture(
            self._decoder.decode(x[0]), 0, request.seed, request.prompt, request.negative, second.infotext(settings)
        )

    def _stream(
        self, request: GenerationRequest, noise: Tensor | None, seeds: tuple[int, ...]
    ) -> Iterator[Progress | Picture]:
        with self._guide.guided(request) as guided:
            for first in range(0, request.count, request.batch_size):
                size = min(request.batch_size, request.count - first)
                given = None if noise is None else noise[first : first + size]
                yield from self._batch(request, guided, first, seeds[first : first + size], given)

    def _batch(
        self, request: GenerationRequest, guided: Guided, first: int, seeds: tuple[int, ...], given: Tensor | None
    ) -> Iterator[Progress | Picture]:
        source = ImageNoise(seeds, self.latent_shape(request), self.device)
        start = source.draw()  # drawn even where it is replaced, so that in-loop noise is that of the seed
        if given is not None:
            start = given.to(start)
        run = Run(guided.eps, self._schedule, start, request.steps, source.draw)
        steps = moves(request.sampler, request.steps, self._schedule)
        x = start
        for number, step in enumerate(SAMPLERS[request.sampler][0](run), 1):
            x = step.x
            preview = partial(self._decoder.preview, step.x0)
            yield Progress(first, len(seeds), number, steps, request.count, preview)
        for offset, seed in enumerate(seeds):
            image = self._decoder.decode(x[offset])
            settings = self._settings(request, seed, guided)
            yield Picture(image, first + offset, seed, request.prompt, request.negative, settings)

    def _settings(self, request: GenerationRequest, seed: int, guided: Guided) -> dict[str, object | None]:
        found = infotext_settings(request, seed=seed, model=self.name, model_hash=self.model_hash)
        return {**found, **guided.infotext}


def load_pipeline(
    checkpoint: Path,
    device: str = "auto",
    dtype: str = "auto",
    *,
    lora_dir: Path | None = None,
    lora_files: Mapping[str, Path] | None = None,
) -> Pipeline:
    """Load an SD1, SD2 or SDXL single file; a yaml of the same stem beside it describes one of another size.

    Args:
        checkpoint: `.safetensors`, or `.ckpt` that holds nothing but weights.
        device: "auto", "cpu", "cuda", "cuda:1", "mps".
        dtype: "auto" (float16 on a GPU, float32 on the CPU), "float32", "float16" or "bfloat16".
        lora_dir: where `<lora:name:1>` in a prompt is looked for.
        lora_files: files that have a name of their own there.

    Raises:
        WeightsError: the file cannot be used; the message says why.
        InputError: no such device or dtype.
    """
    from lib_hps.diffusion.devices import choose_dtype, quiet_diffusers
    from lib_hps.diffusion.loading import TextTower, load_text_towers, load_unet, load_vae, prediction
    from lib_hps.scoring.device import resolve_device

    where = resolve_device(device)
    precision = choose_dtype(dtype, where)
    read = read_checkpoint(Path(checkpoint))
    with quiet_diffusers():
        decoder = Decoder(load_vae(read, precision).to(where), family=read.family)
        unet = load_unet(read, precision).to(where)
    params, is_v = prediction(read, unet)
    towers = [TextTower(tower.model.to(where), tower.tokenizer) for tower in load_text_towers(read, precision)]
    return Pipeline(
        Path(checkpoint),
        family=read.family,
        unet=unet,
        decoder=decoder,
        towers=towers,
        config=params,
        is_v=is_v,
        lora_dir=lora_dir,
        lora_files=lora_files,
    )
