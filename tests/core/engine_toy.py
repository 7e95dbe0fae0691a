"""A tiny regression task for the tests of the training engine; run as a program it trains in a process of its own."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

import torch

from lib_hps.training.engine import make_accelerator, train
from lib_hps.training.engine_config import EngineConfig
from lib_hps.training.engine_task import Task


class Died(Exception):
    """Stands for whatever ends a run between two steps."""


SETTINGS = {"steps": 24, "batch": 8, "lr": 0.02, "warmup": 3, "schedule": "cosine", "seed": 5, "save_every": 4}


class Toy(Task):
    """Learns y = W x from noisy examples through a layer with dropout."""

    def __init__(self, count: int = 50, dropout: float = 0.2) -> None:
        torch.manual_seed(1)
        self.model = torch.nn.Sequential(
            torch.nn.Linear(6, 16), torch.nn.Tanh(), torch.nn.Dropout(dropout), torch.nn.Linear(16, 2)
        )
        generator = torch.Generator().manual_seed(2)
        self._x = torch.randn(count, 6, generator=generator)
        self._y = self._x @ torch.randn(6, 2, generator=generator)

    @property
    def count(self) -> int:
        return len(self._x)

    def load(self, index, generator):
        return self._x[index] + 0.1 * torch.randn(6, generator=generator), self._y[index]

    def collate(self, examples):
        return tuple(torch.stack(part) for part in zip(*examples, strict=True))

    dies_at = 0
    _asked = 0

    def loss(self, model, batch, device):
        self._asked += 1
        if self.dies_at and self._asked > self.dies_at:
            raise Died
        x, y = (part.to(device) for part in batch)
        return (model(x) - y).square().mean(), {}

    def evaluate(self):
        with torch.no_grad():
            return {"value": -float((self.model(self._x) - self._y).square().mean())}


def weights(task: Task) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in task.model.parameters()])


if __name__ == "__main__":
    folder, out = Path(sys.argv[1]), Path(sys.argv[2])
    toy = Toy(dropout=0.0 if "--no-dropout" in sys.argv else 0.2)
    settings, stop = dict(SETTINGS), 0
    for argument in sys.argv[3:]:
        if "=" in argument:
            name, _, value = argument.partition("=")
            if name == "stop":
                stop = int(value)
            else:
                settings[name] = int(value)
    accelerator = make_accelerator()
    print(f"processes={accelerator.num_processes}", flush=True)
    if 0 < stop < settings["steps"]:
        toy.dies_at = stop
        settings["save_every"] = 1
    with contextlib.suppress(Died):
        train(toy, EngineConfig(**settings), folder, accelerator=accelerator)
    if accelerator.is_main_process:
        torch.save(weights(toy), out)
    accelerator.end_training()
