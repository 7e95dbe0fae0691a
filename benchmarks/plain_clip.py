"""tiny-hps as it was before any choices: a plain tiny CLIP, taught which caption belongs to which picture.

Written as a classifier's file from the folder of `tools.tiny_models.train`, for `benchmarks.raters --plain`.

    python -m benchmarks.plain_clip WORK ~/.cache/hps/raters/plain
"""

from __future__ import annotations

import argparse
from pathlib import Path


def main() -> None:
    from tools.tiny_models.contrastive import recipes, train_contrastive
    from tools.tiny_models.publish import publish_scorer
    from tools.tiny_models.train import Run

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path, help="where the tiny models were trained; what is missing is trained")
    parser.add_argument("out", type=Path, help="a folder")
    arguments = parser.parse_args()
    run = Run(arguments.work)
    recipe = next(each for each in recipes(len(run.tokenizer)) if each.name == "tiny-hps")
    model = train_contrastive(recipe, run.emoji, run.pictures, run.clip_tokenizer, run.work)
    publish_scorer(recipe, model, run.merges, arguments.out)
    print(arguments.out / "model.safetensors")


if __name__ == "__main__":
    main()
