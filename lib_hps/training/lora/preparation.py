"""What a run needs before its first step: the base, its pictures encoded, the adapter, the judges, the task."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lib_hps.errors import InputError
from lib_hps.training.lora.compiling import CompiledBlocks
from lib_hps.training.lora.config import LoraSettings
from lib_hps.training.lora.examples import TrainingPair, TrainingPicture, kept_out, mixed, read_manifest, read_pairs
from lib_hps.training.lora.job import Job

if TYPE_CHECKING:
    from accelerate import Accelerator

    from lib_hps.scoring import Scorer
    from lib_hps.training.engine_config import Precision
    from lib_hps.training.lora.adapter import Adapter
    from lib_hps.training.lora.samples import Samples
    from lib_hps.training.lora.task import DenoisingTask, DpoTask


class Preparation:
    """Everything that a run needs, in the order in which it can be had.

    Attributes:
        base: with the adapter in it.
        adapter: that is trained.
        compiled: what of the base's UNet is.
        samples: to draw with the model as it is.
        task: of the engine.
        resolution: side of the square bucket.
        left_out: pictures that could not be used, with the reason.
        trained_on: pictures.
        examples: what is trained on, in words.
    """

    def __init__(
        self,
        job: Job,
        settings: LoraSettings,
        accelerator: Accelerator,
        precision: Precision,
        say: Callable[[str], None],
    ) -> None:
        import torch

        from lib_hps.training.lora.base import load_base

        self._job, self._settings, self._accelerator, self._say = job, settings, accelerator, say
        dtype = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
        self.base = load_base(job.base, vae=job.vae, device=str(accelerator.device), dtype=dtype)
        self.resolution = settings.resolution or self.base.native_side_px
        self._prepare_unet(self.base.unet)
        self._captions, self._store = self._inputs(is_bf16=precision == "bf16")
        pictures, pairs = self._read()
        self.left_out = self._fill([p.file for p in pictures] + [f for p in pairs for f in (p.winner, p.loser)])
        pictures = [p for p in pictures if p.file not in self.left_out]
        pairs = [p for p in pairs if p.winner not in self.left_out and p.loser not in self.left_out]
        self.adapter = self._adapted()
        self.compiled = CompiledBlocks(self.base.unet if settings.compile else None)
        self.samples = self._judges(pictures, pairs)
        self.task = self._task(pictures, pairs)

    def _prepare_unet(self, unet: Any) -> None:
        import torch

        is_channels_last = self._settings.channels_last
        if self._accelerator.device.type == "cuda" if is_channels_last is None else is_channels_last:
            unet.to(memory_format=torch.channels_last)
        if self._settings.gradient_checkpointing:
            unet.enable_gradient_checkpointing()

    def _inputs(self, *, is_bf16: bool) -> tuple[Any, Any]:
        from lib_hps.training.feature_cache import FeatureCache
        from lib_hps.training.lora.latents import LatentStore
        from lib_hps.training.lora.text import Captions

        settings, base = self._settings, self.base
        folder = settings.cache_dir or self._job.folder.parent / "cache"
        kept = settings.cache
        captions = Captions(base.towers, FeatureCache(folder, f"text {base.text_hash}") if kept else None)
        store = LatentStore(
            base.vae,
            FeatureCache(folder, f"latents {base.vae_hash}") if kept else None,
            resolution=self.resolution,
            step=base.step_px,
            crops=settings.crops,
            has_buckets=settings.buckets,
            is_bf16=is_bf16,
        )
        return captions, store

    def _read(self) -> tuple[list[TrainingPicture], list[TrainingPair]]:
        """What to train on, and of which prompts samples are drawn."""
        count, objective = self._settings.sample_prompts, self._settings.objective
        if not self._settings.sample_every:
            count = 0
        if objective == "dpo":
            pairs = read_pairs(self._job.manifest)
            self._prompts = kept_out([pair.prompt for pair in pairs], count)
            return [], [pair for pair in pairs if pair.prompt not in self._prompts]
        pictures = read_manifest(self._job.manifest)
        self._prompts = kept_out(
            [p.prompt for p in pictures if p.kind != "regularisation"] or [p.prompt for p in pictures], count
        )
        pictures = [p for p in pictures if p.prompt not in self._prompts]
        if objective == "regularisation-only":
            pictures = [p for p in pictures if p.kind == "regularisation"]
            if not pictures:
                raise InputError(f"{self._job.manifest} has no regularisation pictures. Give some to hps select.")
        return pictures, []

    def _fill(self, files: Sequence[Path]) -> dict[Path, str]:
        """Encode what is not kept yet, shared by the processes; all know the outcome."""
        from accelerate.utils import gather_object
        from tqdm import tqdm

        accelerator = self._accelerator
        unique = list(dict.fromkeys(files))
        mine = unique[accelerator.process_index :: accelerator.num_processes]
        with tqdm(total=len(mine), desc="pictures", unit="", disable=not accelerator.is_main_process, delay=2) as bar:
            found = gather_object([self._store.fill(mine, lambda done: bar.update(done) and None)])
        bad = {path: why for each in found for path, why in each.items()}
        for why in bad.values():
            self._say(f"Left out: {why}")
        if bad:
            self._say(f"{len(bad)} of {len(unique)} pictures are left out.")
        return bad

    def _adapted(self) -> Adapter:
        from lib_hps.training.lora.adapter import Adapter

        settings = self._settings
        _ = self.base.text_hash  # before the text encoders change
        return Adapter(
            self.base,
            rank=settings.rank,
            alpha=settings.rank if settings.alpha is None else settings.alpha,
            targets=settings.target_groups,
            has_text=settings.text_encoder,
            seed=settings.seed,
        )

    def _judges(self, pictures: Sequence[TrainingPicture], pairs: Sequence[TrainingPair]) -> Samples:
        from lib_hps.training.lora.judges import find_judges
        from lib_hps.training.lora.output import has_negative
        from lib_hps.training.lora.samples import SamplePlan, Samples

        settings = self._settings
        prompts = self._prompts or [*(p.prompt for p in pictures), *(p.prompt for p in pairs)][:1]
        plan = SamplePlan(
            prompts,
            settings.sample_seeds,
            settings.sample_steps,
            settings.sample_cfg,
            self.base.native_side_px,
            has_negative(settings),
        )
        scorers: dict[str, Scorer] = {}
        if self._prompts and self._accelerator.is_main_process:
            scorers = find_judges(settings.scorer, settings.holdout, self._job.base, self._job.device)
            names = [f"{judge}: {scorer.name}" for judge, scorer in scorers.items()] or ["no scorer, so never early"]
            self._say(f"Samples of {len(self._prompts)} prompts that are not trained on; {', '.join(names)}.")
        return Samples(self.base.pipeline(), self.adapter, plan, scorers, self._job.folder)

    def _sampled(self) -> dict[str, float]:
        with self.compiled.off():
            return self.samples()

    def _task(self, pictures: Sequence[TrainingPicture], pairs: Sequence[TrainingPair]) -> DenoisingTask | DpoTask:
        from lib_hps.training.lora.base_task import Knobs
        from lib_hps.training.lora.task import DenoisingTask, DpoTask

        settings = self._settings
        knobs = Knobs(**{each.name: getattr(settings, each.name) for each in fields(Knobs)})
        parts = (self.base, self.adapter, self._store, self._captions, knobs)
        more = {"has_text": settings.text_encoder, "judge": self._sampled if self._prompts else None}
        task: DenoisingTask | DpoTask
        if settings.objective == "dpo":
            self.trained_on = len({file for pair in pairs for file in (pair.winner, pair.loser)})
            self.examples = f"{len(pairs)} pairs"
            task = DpoTask(pairs, *parts, **more)
        else:
            ratios = settings.ratios if settings.objective == "hps" else None
            epoch = mixed(pictures, ratios) if pictures else []
            self.trained_on = len({picture.file for picture in epoch})
            counts = {kind: sum(p.kind == kind for p in epoch) for kind in ("positive", "negative", "regularisation")}
            self.examples = "An epoch of " + ", ".join(f"{n} {kind}" for kind, n in counts.items() if n)
            task = DenoisingTask(epoch, *parts, **more)
        if not task.count:
            raise InputError(f"{self._job.manifest}: no usable example is left.")
        return task
