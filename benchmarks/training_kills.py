"""`hps train-scorer` killed by SIGKILL at random steps, again and again: is the outcome the same to the bit?

python -m benchmarks.training_kills --kills 20 --method blocks
python -m benchmarks.training_kills --kills 3 --method head --choices 160    # small networks learn, too
"""

from __future__ import annotations

import argparse
import random
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.append(str(Path(__file__).parents[1] / "tests" / "core"))

from scorer_runs import Runs, lines
from warm_choices import record_warm_choices

STEPS = ("--epochs", "20", "--batch", "4", "--lr", "0.001", "--patience", "0")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--method", choices=("blocks", "lora", "head"), default="blocks")
    parser.add_argument("--choices", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    settings = ("--method", arguments.method, *STEPS)
    chance = random.Random(arguments.seed)
    with TemporaryDirectory(prefix="hps-") as name:
        folder = Path(name)
        (folder / "made").mkdir()
        runs = Runs(record_warm_choices(folder / "made", folder / "choices", arguments.choices), folder, settings)
        whole = runs.finish("whole")
        log, steps = runs.run("killed") / "log.jsonl", lines(runs.run("whole") / "log.jsonl")
        wanted = sorted(chance.randrange(1, steps - 1) for _ in range(arguments.kills))
        killed = 0
        for number, line in enumerate(wanted, 1):
            was_running = runs.kill_when("killed", lambda line=line: lines(log) >= line)
            killed += was_running
            print(f"kill {number}: wanted at log line {line} of {steps}, at {lines(log)}, {was_running=}", flush=True)
        print(f"{killed} kills; same bits: {runs.finish('killed') == whole}")


if __name__ == "__main__":
    main()
