"""`hps train-scorer`: from choices to a classifier's file."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path

from lib_hps.errors import InputError
from lib_hps.files import atomic_write
from lib_hps.training.choice_task import TrainingChoice
from lib_hps.training.config import to_toml
from lib_hps.training.scorer_base import load_base
from lib_hps.training.scorer_config import BLOCKS_FROM, ScorerConfig
from lib_hps.training.scorer_data import gather, split, without

log = logging.getLogger(__name__)


@dataclass
class Trained:
    """What came of a training.

    Attributes:
        path: the classifier's file.
        method: head, lora or blocks.
        choices: for training, validation and test.
        problems: what could not be used, one line each.
        notes: one sentence each about the run.
        curve: (choices or steps, top-1 on what was held out), for the report.
    """

    path: Path
    method: str
    train: list[TrainingChoice]
    validation: list[TrainingChoice]
    test: list[TrainingChoice]
    problems: list[str]
    undecided: int
    notes: list[str] = field(default_factory=list)
    curve: list[tuple[float, float]] = field(default_factory=list)
    curve_over: str = "choices"


def train_scorer(data: Path, out: Path, run: Path, config: ScorerConfig) -> Trained:
    """Train and write the classifier.

    Args:
        data: any readable data set.
        out: the classifier's file, `.safetensors`.
        run: folder for settings, log, and the state from which a killed run goes on.

    Raises:
        InputError: no usable choices, or settings that cannot be.
        StorageError: a file cannot be written; what was written before is whole.
    """
    from lib_hps.scoring.weights import cache_folder
    from lib_hps.training.engine import make_accelerator

    accelerator = make_accelerator(config.precision, device=config.device)
    base = load_base(config.base, config.weights)
    found = gather(data, run / "pictures", layout=config.layout, images=config.images)
    if accelerator.is_main_process:
        with atomic_write(run / "settings.toml", "w") as stream:
            stream.write(to_toml(config))
    from lib_hps.training.method_blocks import BlocksMethod
    from lib_hps.training.method_head import HeadMethod

    count = len(found.choices)
    method = config.method if config.method != "auto" else "blocks" if count >= BLOCKS_FROM else "head"
    cache = cache_folder() / "features" if config.cache else None
    trainer: HeadMethod | BlocksMethod
    if method == "head":
        trainer = HeadMethod(base, config, accelerator, cache)
    else:
        trainer = BlocksMethod(base, config, accelerator, cache, method)
    bad = trainer.fill({image for choice in found.choices for image in choice.images})
    problems = found.problems + [f"{path}: {why}" for path, why in sorted(bad.items())]
    usable = without(found.choices, bad)
    if not usable:
        raise InputError(f"No choice is left whose pictures can be read. The first problem: {problems[0]}")
    train, validation, test = split(
        usable, validation=config.validation_share, test=config.test_share, seed=config.seed
    )
    result = Trained(out, method, train, validation, test, problems, found.undecided)
    tensors, extra = trainer.train(result, run)
    if accelerator.is_main_process:
        about = {"base": base.name, "choices": len(train), "method": method, "loss": config.loss, **extra}
        base.write(out, tensors, name=out.stem, extra=about)
    accelerator.wait_for_everyone()
    return result
