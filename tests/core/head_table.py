"""A table of examples that a head can be fitted on, without any CLIP."""

from __future__ import annotations

import torch
from torch.nn.functional import normalize

from lib_hps.scoring.clip.tag_features import side_by_side
from lib_hps.scoring.prompts import tags_of
from lib_hps.training.head_blocks import Table

# fmt: off
SIZES = {
    "colours": 42, "palette": 343, "tones": 60, "shades": 60, "edges": 63, "texture": 72, "rings": 30, "figure": 51,
    "shape": 24, "patches": 20, "layer 0": 20, "layer 1": 30, "embedding": 16,
}
# fmt: on


def make_table() -> Table:
    """Forty prompts, "red" in every second one, five pictures each; the first shade says how red a picture is."""
    generator = torch.Generator().manual_seed(0)
    prompts = [f"thing{i}, {'red' if i % 2 else 'blue'} kind" for i in range(40) for _ in range(5)]
    described = {name: torch.randn(200, size, generator=generator) for name, size in SIZES.items()}
    described["embedding"] = normalize(described["embedding"], dim=1)
    is_red = torch.tensor([float("red" in prompt) for prompt in prompts])
    described["shades"][:, 0] += 4 * is_red
    texts = torch.randn(40, 16, generator=generator).repeat_interleave(5, dim=0)
    texts[:, 0] += 3 * is_red
    texts, scale = normalize(texts, dim=1), torch.tensor(20.0)
    tags = {tag: normalize(torch.randn(16, generator=generator), dim=0) for p in prompts for tag in tags_of(p)}
    of = {prompt: torch.stack([tags[tag] for tag in tags_of(prompt)]) for prompt in prompts}
    return Table(described, prompts, texts, scale * (described["embedding"] * texts).sum(dim=1), scale, of)


def tags_in(table: Table) -> torch.Tensor:
    """(N, T, E), what a head is called with."""
    return side_by_side([table.tags[prompt] for prompt in table.prompts])
