"""Draws what `rater_pictures` plans: tiny-sd from prompts, or emoji artists on plain backgrounds."""

from __future__ import annotations

import random
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from benchmarks.rater_pictures import STYLES, Said, file_of

if TYPE_CHECKING:
    from lib_hps.diffusion.pipeline import Pipeline

BATCH = 16
SETTINGS = ((4, 1.5), (4, 4.0), (6, 2.5), (6, 5.0), (9, 2.0), (9, 4.0), (13, 3.0), (13, 6.0))  # (steps, CFG scale)


def draw_with_tiny_sd(folder: Path, planned: list[tuple[Said, list[Said]]], seed: int) -> None:
    """Every picture with its own seed, steps and CFG scale, those of equal settings together; what is there stays."""
    from tqdm import tqdm

    from lib_hps.diffusion.bundled import require_tiny_checkpoint
    from lib_hps.diffusion.pipeline import load_pipeline

    waiting: dict[tuple[int, float], list[tuple[Path, str, int]]] = {}
    for number, (_, shown) in enumerate(planned):
        rng = random.Random(seed * 100_003 + number)
        for place, said in enumerate(shown):
            settings, noise = rng.choice(SETTINGS), rng.randrange(2**31)
            if not file_of(folder, number, place).exists():
                waiting.setdefault(settings, []).append((file_of(folder, number, place), said.prompt, noise))
    pipeline = load_pipeline(require_tiny_checkpoint(), "cpu")
    with tqdm(total=sum(map(len, waiting.values())), unit="picture") as bar:
        for (steps, cfg), jobs in waiting.items():
            for first in range(0, len(jobs), BATCH):
                batch = jobs[first : first + BATCH]
                images = _drawn(pipeline, [prompt for _, prompt, _ in batch], [n for *_, n in batch], steps, cfg)
                for (file, _, _), image in zip(batch, images, strict=True):
                    _save(image, file)
                bar.update(len(batch))


def _drawn(pipeline: Pipeline, prompts: list[str], seeds: list[int], steps: int, cfg: float) -> list[Image.Image]:
    """One batch of different prompts, which the pipeline's own interface has no need for."""
    import torch

    from lib_hps.diffusion.conditioning import Conditioning, encode
    from lib_hps.diffusion.denoiser import Guidance
    from lib_hps.diffusion.guiding import Guided
    from lib_hps.diffusion.request import GenerationRequest, Picture

    request = GenerationRequest(
        "", steps=steps, cfg=cfg, width=64, height=64, count=len(prompts), batch_size=len(prompts)
    )
    towers = pipeline._guide._towers
    contexts = [encode(towers, prompt).context for prompt in prompts]
    empty = encode(towers, "", is_negative=True).context
    positive, negative = torch.cat(contexts), empty.expand(len(prompts), -1, -1)  # (B, 77, D)
    guidance = Guidance(Conditioning(positive), Conditioning(negative), cfg, (64, 64))
    guided = Guided(pipeline._guide._denoiser, pipeline.loras, (), guidance, {})
    events = pipeline._batch(request, guided, 0, tuple(seeds), None)
    return [event.image for event in events if isinstance(event, Picture)]


def compose_from_emoji(folder: Path, planned: list[tuple[Said, list[Said]]], seed: int, emoji_folder: Path) -> None:
    """Real emoji, moved a little, on their backgrounds, some of them blurred."""
    import torch
    from PIL import ImageFilter

    from tools.tiny_models.augment import BACKGROUNDS as COLOURS
    from tools.tiny_models.augment import compose, premultiply
    from tools.tiny_models.emoji import load_emoji

    emoji, pictures = load_emoji(emoji_folder)
    row_of = {each.name: row for row, each in enumerate(emoji)}
    generator, rng = torch.Generator().manual_seed(seed), random.Random(seed)
    for number, (_, shown) in enumerate(planned):
        rgba = [pictures[row_of[said.concept], STYLES.index(said.style)] for said in shown]
        grounds = torch.tensor([list(COLOURS).index(said.background) for said in shown])
        moved = compose(torch.stack([premultiply(each[None])[0] for each in rgba]), grounds, generator)
        levels = ((moved + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
        for place, array in enumerate(levels):
            image = Image.fromarray(array).filter(ImageFilter.GaussianBlur(rng.choice((0.0, 0.0, 0.6, 1.2))))
            _save(image, file_of(folder, number, place))


def _save(image: Image.Image, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    image.save(part, "PNG")
    part.replace(file)
