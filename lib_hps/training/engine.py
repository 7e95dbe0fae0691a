"""The one training loop of this project: any task, one process or many, resumable bit for bit.

What a step sees and every random choice in it come from (seed, step, example) alone, so a run that was killed goes on
as if nothing had happened, on one CPU process to the last bit.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lib_hps.errors import InputError
from lib_hps.training.ema import WeightAverage
from lib_hps.training.engine_config import EngineConfig, Precision
from lib_hps.training.engine_task import Result, Task
from lib_hps.training.logs import TrainingLog
from lib_hps.training.optimizers import make_optimizer
from lib_hps.training.sampling import example_generator
from lib_hps.training.schedule import learning_rate_factor
from lib_hps.training.state import RunState

if TYPE_CHECKING:
    from accelerate import Accelerator


def train(task: Task, config: EngineConfig, folder: Path, *, accelerator: Accelerator | None = None) -> Result:
    """Train `task.model` in place; its weights are the best ones by evaluation in the end (else the last ones).

    Args:
        task: what to train; parameters with `requires_grad` are trained.
        config: how.
        folder: for `state.pt` (where a killed run goes on), `best.pt`, `log.jsonl` and TensorBoard's events.
        accelerator: given by a caller that has one already.

    Raises:
        InputError: nothing to train, a batch that the processes cannot share, or a state of another run.
        StorageError: the disk is full; the last whole state is still there.
    """
    accelerator = accelerator or make_accelerator(config.precision)
    return _Loop(task, config, folder, accelerator).run()


def make_accelerator(precision: Precision = "fp32", *, device: str = "auto") -> Accelerator:
    """An accelerator that also knows its fellow processes on machines without a GPU."""
    from accelerate import Accelerator

    from lib_hps.scoring.device import must_launch_on_cpu

    is_on_cpu = device == "cpu" or must_launch_on_cpu()
    return Accelerator(cpu=is_on_cpu, mixed_precision={"fp32": "no"}.get(precision, precision))


class _Loop:
    def __init__(self, task: Task, config: EngineConfig, folder: Path, accelerator: Accelerator) -> None:
        if task.count < 1:
            raise InputError("There is nothing to train on: the data set has no usable example.")
        trained = [p for p in task.model.parameters() if p.requires_grad]
        if not trained:
            raise InputError("There is nothing to train: every parameter of the model is frozen.")
        self._task, self._config, self._accelerator = task, config, accelerator
        self._micro, self._parts = config.shares(accelerator.num_processes)
        optimizer = make_optimizer(
            config.optimizer, trained, lr=config.lr, betas=config.betas, weight_decay=config.weight_decay
        )
        self._average = WeightAverage(trained, config.ema) if config.ema else None
        self._model, self._optimizer = accelerator.prepare(task.model, optimizer)
        self._state = RunState(folder, task.model, self._optimizer, accelerator, config, self._average)
        self._log = TrainingLog(folder if accelerator.is_main_process else None)

    def run(self) -> Result:
        state, config = self._state, self._config
        state.load()
        self._log.resume(state.step)
        with closing(self._log), ThreadPoolExecutor(1, thread_name_prefix="hps-examples") as pool:
            for step, parts in self._steps(pool):
                figures = self._step(step, parts)
                state.step = step + 1
                self._log.step(state.step, config.steps, figures)
                is_last = state.step == config.steps
                if config.eval_every and (state.step % config.eval_every == 0 or is_last):
                    self._evaluate()
                if state.step % config.save_every == 0 or is_last or self._is_out_of_patience():
                    state.save()
                if self._is_out_of_patience():
                    break
        if self._average is not None:
            self._average.apply()
        state.restore_best()
        return Result(state.step, state.best_step, state.history, self._is_out_of_patience())

    def _steps(self, pool: ThreadPoolExecutor) -> Iterator[tuple[int, list[Any]]]:
        """Every remaining step with its loaded parts, the next step's being loaded meanwhile."""
        if self._state.step >= self._config.steps or self._is_out_of_patience():
            return
        waiting: Future[list[Any]] = pool.submit(self._load, self._state.step)
        for step in range(self._state.step, self._config.steps):
            parts = waiting.result()
            if step + 1 < self._config.steps:
                waiting = pool.submit(self._load, step + 1)
            yield step, parts

    def _load(self, step: int) -> list[Any]:
        """This process' parts of a step."""
        config, world, rank = self._config, self._accelerator.num_processes, self._accelerator.process_index
        indices = self._task.plan(step, batch=config.batch, micro=self._micro, seed=config.seed)
        parts = []
        for part in range(self._parts):
            first = (part * world + rank) * self._micro
            examples = [
                self._task.load(indices[at], example_generator(config.seed, step, at))
                for at in range(first, first + self._micro)
            ]
            parts.append(self._task.collate(examples))
        return parts

    def _step(self, step: int, parts: list[Any]) -> dict[str, float]:
        import torch

        config, accelerator = self._config, self._accelerator
        began = time.monotonic()
        torch.manual_seed((config.seed * 1_000_003 + step) * 1_009 + accelerator.process_index)  # dropout inside models
        factor = learning_rate_factor(step, steps=config.steps, warmup=config.warmup, schedule=config.schedule)
        for group in self._optimizer.param_groups:
            group["lr"] = config.lr * factor
        figures: dict[str, float] = {}
        self._model.train()
        for number, part in enumerate(parts):
            is_last = number == len(parts) - 1
            with nullcontext() if is_last else accelerator.no_sync(self._model):
                with accelerator.autocast():
                    loss, more = self._task.loss(self._model, part, accelerator.device)
                accelerator.backward(loss / len(parts))
            for name, value in {"loss": float(loss.detach()), **more}.items():
                figures[name] = figures.get(name, 0.0) + value / len(parts)
        if config.clip_norm:
            figures["gradient norm"] = float(accelerator.clip_grad_norm_(self._model.parameters(), config.clip_norm))
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        self._task.after_step()
        if self._average is not None:
            self._average.update(step)
        if not math.isfinite(figures["loss"]) and config.precision != "fp16":
            raise InputError(
                f"The loss became {figures['loss']} at step {step + 1}. Lower the learning rate ({config.lr}) and "
                "begin anew in another folder."
            )
        return {**figures, "lr": config.lr * factor, "seconds": time.monotonic() - began}

    def _evaluate(self) -> None:
        from accelerate.utils import broadcast_object_list

        self._model.eval()
        with self._average.applied() if self._average is not None else nullcontext():
            found = [self._task.evaluate() if self._accelerator.is_main_process else {}]
            figures: dict[str, float] = broadcast_object_list(found)[0]
            if figures:
                self._state.note(figures)
                self._log.evaluation(self._state.step, figures)

    def _is_out_of_patience(self) -> bool:
        return bool(self._config.patience) and self._state.evaluations_without_gain >= self._config.patience
