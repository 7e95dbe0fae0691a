"""Teaches small networks the choices, pixels first: what no feature was made for, filters can be learned for.

A network for each fold learns from the choices of all others, and says of that fold's pictures what it thinks: so what
networks are weighed by (`head_stack`) is unbiased. Where they count, the head keeps others, which learned from all
choices (van der Laan et al. 2007, "Super learner"): three, from different beginnings, because together they are surer
than each (Lakshminarayanan et al. 2017, "Deep ensembles"). Shapes: N examples, C choices, R rows of m examples.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lib_hps.scoring.clip.small_network import SIDE, fresh, see
from lib_hps.scoring.device import cpu_computes_bf16
from lib_hps.training.ema import WeightAverage
from lib_hps.training.head_answers import Answers
from lib_hps.training.head_problem import Note
from lib_hps.training.schedule import learning_rate_factor

FEWEST = 100
"""Choices from which filters can be learned."""
_ROWS = 24  # softmaxes a step
_EPOCHS, _MOST_STEPS, _WARMUP = 30, 2_000, 50
_LR, _WEIGHT_DECAY, _AVERAGE = 3e-3, 0.05, 0.99
_SHIFT, _ZOOM = 0.08, 0.1
_SEEN = 256  # pictures at once, where nothing is learned
_NETWORKS, _FIRST_SEED = 3, 100  # that learn from all choices; those of the folds begin with 0


def opinions_of_others(
    pictures: Tensor, known: Answers, folds: Tensor, device: torch.device, note: Note
) -> Tensor | None:
    """(R, m): what a network that did not learn from a row thinks of its examples; spread about 1.

    None of fewer than 100 choices or of a single fold.

    Args:
        pictures: `thumbnails` of the examples, (N, 12288), half precision will do.
        known: the answers.
        folds: (C,) fold of each choice.
        device: where it is computed.
        note: gets the "network's loss" now and then.
    """
    names = folds.unique().tolist()
    if len(folds) < FEWEST or len(names) < 2:
        return None
    unbiased = torch.zeros(known.examples.shape)
    for number, fold in enumerate(names):
        _, opinion = _learned(pictures, known.of(folds != fold), number, device, note)
        there = folds[known.choice] == fold
        unbiased[there] = opinion[known.examples[there]]
    return unbiased


def learn_networks(pictures: Tensor, known: Answers, device: torch.device, note: Note) -> dict[str, Tensor]:
    """The parameters of three networks that learned from all choices, one behind the other; as `opinions_of_others`."""
    found = [_learned(pictures, known, _FIRST_SEED + number, device, note)[0] for number in range(_NETWORKS)]
    return {name: torch.stack([each[name] for each in found]) for name in found[0]}


def _learned(
    pictures: Tensor, known: Answers, seed: int, device: torch.device, note: Note
) -> tuple[dict[str, Tensor], Tensor]:
    """The averaged parameters after the last step, and what such a network thinks of all pictures, (N,)."""
    generator = torch.Generator().manual_seed(seed)
    network = {name: nn.Parameter(each.to(device)) for name, each in fresh(generator).items()}
    parameters = list(network.values())
    optimizer = torch.optim.AdamW(parameters, lr=_LR, weight_decay=_WEIGHT_DECAY)
    average, is_bf16 = WeightAverage(parameters, _AVERAGE), device.type == "cpu" and cpu_computes_bf16()
    steps = min(_MOST_STEPS, max(2 * _WARMUP, _EPOCHS * len(known.choice) // _ROWS))
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = _LR * learning_rate_factor(step, steps=steps, warmup=_WARMUP, schedule="cosine")
        rows = torch.randint(len(known.choice), (_ROWS,), generator=generator)
        shown = pictures[known.examples[rows].flatten()].float().view(-1, 3, SIDE, SIDE)
        with torch.autocast("cpu", torch.bfloat16, enabled=is_bf16):
            scores = see(network, _moved(shown, generator).to(device)).float().view(_ROWS, -1)
        mask, target, weight = (part[rows].to(device) for part in (known.mask, known.target, known.weight))
        likely = scores.masked_fill(~mask, -torch.inf).log_softmax(dim=1).masked_fill(~mask, 0)
        loss = -(weight * (target * likely).sum(dim=1)).mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        average.update(step)
        if step % 50 == 0:
            note({"network's loss": float(loss.detach())})
    learned = dict(zip(network, average.weights, strict=True))
    opinion = _opinion(learned, pictures, device)
    spread = opinion.std().clamp_min(1e-6)
    found = {name: each.cpu() for name, each in learned.items()}
    found["out"] /= spread
    return found, (opinion - opinion.mean()) / spread


def _opinion(network: dict[str, Tensor], pictures: Tensor, device: torch.device) -> Tensor:
    """(N,) on the CPU."""
    with torch.inference_mode():
        return torch.cat([see(network, part.to(device).float()).cpu() for part in pictures.split(_SEEN)])


def _moved(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Mirrored, shifted and made larger or smaller, each its own way: (N, 3, S, S)."""

    def uniform(size: float) -> Tensor:
        return (2 * torch.rand(len(pictures), generator=generator) - 1) * size

    zoom, mirror, nought = 1 + uniform(_ZOOM), torch.where(uniform(1) < 0, 1.0, -1.0), torch.zeros(len(pictures))
    across = torch.stack([zoom * mirror, nought, uniform(_SHIFT)], dim=1)
    theta = torch.stack([across, torch.stack([nought, zoom, uniform(_SHIFT)], dim=1)], dim=1)  # (N, 2, 3)
    grid = F.affine_grid(theta, list(pictures.shape), align_corners=False)
    return F.grid_sample(pictures, grid, padding_mode="border", align_corners=False)
