"""What the LoRA tasks share: the module that is trained, an example with its random choices, noisy inputs."""

from __future__ import annotations

import abc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from lib_hps.training.engine_task import Task
from lib_hps.training.lora.objectives import Diffusion
from lib_hps.training.lora.text import Captions, Text, embed
from lib_hps.training.sampling import batch_indices, bucketed_indices

if TYPE_CHECKING:
    from lib_hps.training.lora.adapter import Adapter
    from lib_hps.training.lora.base import BaseModel
    from lib_hps.training.lora.latents import LatentStore


class Denoising(torch.nn.Module):
    """What the engine trains and DDP wraps: the adapted UNet, with the text encoders where they are adapted too."""

    def __init__(self, base: BaseModel, *, has_text: bool) -> None:
        super().__init__()
        self.unet = base.unet
        self.towers = torch.nn.ModuleList([tower.model for tower in base.towers] if has_text else [])

    def forward(
        self, noisy: torch.Tensor, t: torch.Tensor, context: torch.Tensor, pooled: torch.Tensor, time_ids: torch.Tensor
    ) -> torch.Tensor:
        """(B, C, h, w) of eps or v; `context` is (B, T, 77) tokens where the text encoders are trained."""
        if len(self.towers):
            context, pooled = embed(list(self.towers), context)
        extra: dict[str, Any] = {}
        if pooled.shape[1]:
            extra = {"added_cond_kwargs": {"text_embeds": pooled, "time_ids": time_ids}}
        dtype = self.unet.dtype
        return self.unet(noisy.to(dtype), t, encoder_hidden_states=context.to(dtype), return_dict=False, **extra)[0]


class Example(NamedTuple):
    """One example on the CPU; of a pair the winner comes first (n = 2, else n = 1).

    Attributes:
        pictures: (n, 2C, h, w) posteriors, or (n, 3, H, W) pixels.
        noise: (1, C, h, w), shared by a pair; the second one is for the posterior.
        t: time step.
        context: (77, D) or (T, 77) tokens.
        pooled: (P,).
        time_ids: (n, 6).
    """

    pictures: torch.Tensor
    noise: torch.Tensor
    spread: torch.Tensor
    t: torch.Tensor
    context: torch.Tensor
    pooled: torch.Tensor
    time_ids: torch.Tensor


@dataclass(frozen=True)
class Knobs:
    """What the tasks take from the settings."""

    caption_dropout: float = 0.0
    noise_offset: float = 0.0
    min_snr: float = 0.0
    max_norm: float = 0.0
    crops: int = 1
    beta: float = 5000.0


class LoraTask(Task):
    """What both tasks share.

    Args:
        base: with the adapter in it.
        adapter: that is trained.
        store: of pictures.
        captions: of texts.
        knobs: see there.
        has_text: the text encoders are trained.
        judge: evaluates; None where there are no samples.
    """

    model: Denoising

    def __init__(
        self,
        base: BaseModel,
        adapter: Adapter,
        store: LatentStore,
        captions: Captions,
        knobs: Knobs,
        *,
        has_text: bool = False,
        judge: Callable[[], dict[str, float]] | None = None,
    ) -> None:
        self.model = Denoising(base, has_text=has_text)
        self._base, self._adapter, self._store, self._captions = base, adapter, store, captions
        self._knobs, self._has_text, self._judge = knobs, has_text, judge
        self._diffusion = Diffusion(base.schedule, is_v=base.is_v)
        self._factor, self._shift = base.vae.config.scaling_factor, getattr(base.vae.config, "shift_factor", None) or 0
        self._buckets: list[list[int]] = []

    @property
    @abc.abstractmethod
    def shapes(self) -> Sequence[tuple[int, int]]:
        """Bucket of every example."""

    def plan(self, step: int, *, batch: int, micro: int, seed: int) -> Sequence[int]:
        """See `Task.plan`: what is taken at once is of one bucket."""
        if not self._buckets:
            of: dict[tuple[int, int], list[int]] = {}
            for index, shape in enumerate(self.shapes):
                of.setdefault(shape, []).append(index)
            self._buckets = [of[shape] for shape in sorted(of)]
        if len(self._buckets) == 1:
            return batch_indices(step, count=self.count, batch=batch, seed=seed)
        return bucketed_indices(step, self._buckets, batch=batch, micro=micro, seed=seed)

    def _example(
        self, files: Sequence[Path], bucket: tuple[int, int], caption: str, generator: torch.Generator
    ) -> Example:
        def chance() -> float:
            return float(torch.rand((), generator=generator))

        number = int(torch.randint(self._knobs.crops, (), generator=generator))
        crops = [self._store.crop(file, number, bucket) for file in files]
        pictures = torch.stack([self._store.get(file, crop) for file, crop in zip(files, crops, strict=True)])
        if chance() < self._knobs.caption_dropout:
            caption = ""
        channels = self._base.unet.config.in_channels
        shape = (1, channels, bucket[1] // 8, bucket[0] // 8)
        noise = torch.randn(shape, generator=generator)
        if self._knobs.noise_offset:
            noise = noise + self._knobs.noise_offset * torch.randn((1, channels, 1, 1), generator=generator)
        return Example(
            pictures,
            noise,
            torch.randn(shape, generator=generator),
            torch.randint(self._diffusion.steps, (1,), generator=generator),
            *self._text(caption),
            torch.tensor([crop.time_ids for crop in crops], dtype=torch.float32),
        )

    def _text(self, caption: str) -> Text:
        if self._has_text:
            return Text(self._captions.tokens(caption), torch.zeros(0))
        return self._captions.embedding(caption)

    def collate(self, examples: Sequence[Example]) -> Example:
        """See `Task.collate`: (n, B, ...), of a pair the winners in front."""
        join = {"pictures": 1, "time_ids": 1}
        columns = {
            name: torch.stack([getattr(example, name) for example in examples], dim=join.get(name, 0))
            for name in Example._fields
        }
        return Example(**columns)

    def _inputs(self, batch: Example, count: int) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        def each(tensor: torch.Tensor) -> torch.Tensor:
            return tensor.repeat(count, *[1] * (tensor.ndim - 1))  # (B, ...) -> (n * B, ...)

        noise, t = each(batch.noise[:, 0]), each(batch.t[:, 0])
        x0 = self._latents(batch.pictures.flatten(0, 1), each(batch.spread[:, 0]))
        inputs = {
            "noisy": self._diffusion.noisy(x0, noise, t),
            "t": t,
            "context": each(batch.context),
            "pooled": each(batch.pooled),
            "time_ids": batch.time_ids.flatten(0, 1),
        }
        return inputs, self._diffusion.target(x0, noise, t)

    def _latents(self, pictures: torch.Tensor, spread: torch.Tensor) -> torch.Tensor:
        """(N, C, h, w) drawn from the posteriors (N, 2C, h, w); pixels (N, 3, H, W) are encoded first."""
        if pictures.shape[-1] != spread.shape[-1]:
            pictures = self._store.encode(pictures)
        mean, log_variance = pictures.float().chunk(2, dim=1)
        x0 = mean + (0.5 * log_variance.clamp(-30, 20)).exp() * spread
        return (x0 - self._shift) * self._factor

    def after_step(self) -> None:
        """See `Task.after_step`: the largest norm of a layer's change."""
        if self._knobs.max_norm:
            self._adapter.limit(self._knobs.max_norm)

    def evaluate(self) -> dict[str, float]:
        """See `Task.evaluate`."""
        return {} if self._judge is None else self._judge()
