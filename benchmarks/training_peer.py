"""The public HPSv2 repository's own training loop (`train_iters`), timed; run by benchmarks/training_scorer.py.

Runs in a Python that has its requirements, with a checkout of that repository on the path.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from types import SimpleNamespace

import torch
from hpsv2.src.open_clip import create_model_and_transforms, get_tokenizer
from hpsv2.src.training.data import get_HPD_dataset
from hpsv2.src.training.scheduler import cosine_lr
from hpsv2.src.training.train import train_iters


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("data", "images", "model", "weights"):
        parser.add_argument(f"--{name}", required=True)
    for name in ("batch", "steps", "image-blocks", "text-blocks", "workers", "threads"):
        parser.add_argument(f"--{name}", type=int, required=True)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    model, transform, _ = create_model_and_transforms(
        given.model, given.weights, precision="fp32", device="cpu", light_augmentation=True, output_dict=True
    )
    # as its main.py: the projection counts as a group of its own
    model.lock_image_tower(unlocked_groups=given.image_blocks + 1, freeze_bn_stats=False)
    model.lock_text_tower(unlocked_layers=given.text_blocks, freeze_layer_norm=False)
    trained = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    plain = [p for name, p in trained if p.ndim < 2 or "ln" in name or "bias" in name or "logit_scale" in name]
    rest = [p for name, p in trained if not (p.ndim < 2 or "ln" in name or "bias" in name or "logit_scale" in name)]
    optimizer = torch.optim.AdamW(
        [{"params": plain, "weight_decay": 0.0}, {"params": rest, "weight_decay": 1e-3}], lr=1e-4
    )
    arguments = SimpleNamespace(
        train_data=given.data, train_folder=given.images, batch_size=given.batch, workers=given.workers,
        distributed=False, device="cpu", precision="fp32", distill=False, train_data_sample_ratio=[1.0],
        ignore_in_train=[0], skip_scheduler=False, accum_freq=1, no_text_condition=False, horovod=False,
        grad_clip_norm=1.0, rank=0, world_size=1, log_every_n_steps=1, margin=1.0,
    )  # fmt: skip
    data = get_HPD_dataset(arguments, transform, True, tokenizer=get_tokenizer(given.model))
    data.set_epoch = lambda epoch: None
    schedule = cosine_lr(optimizer, 1e-4, 0, given.steps)
    times: list[float] = []

    def scheduler(step: int) -> None:
        times.append(time.perf_counter())
        schedule(step)

    done = 0
    while done < given.steps:  # its loop ends with the loader, so one call an epoch
        epoch = min(data.dataloader.num_batches, given.steps - done)
        train_iters(model, {"train": [data]}, epoch, optimizer, None, scheduler, None, arguments)
        done += epoch
    times.append(time.perf_counter())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss + resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    print(json.dumps({"times": times, "peak_kib": peak}))


if __name__ == "__main__":
    main()
