"""A million choices of generated metadata through the readers: CPU time and peak memory of each step, each alone.

python benchmarks/preferences.py [--choices 1000000] [--steps statistics]
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

STEPS = ("read align_sd", "read choices", "statistics", "split (which part)", "split (written)", "check rows")


def generate(folder: Path, count: int) -> None:
    """The same choices as align_sd's list and as our own lines; four pictures each, of 200,000 prompts."""
    chance = random.Random(1)
    names = [f"images/{n:064x}.png" for n in range(64)]
    (folder / "images").mkdir(parents=True)
    for name in names:
        (folder / name).write_bytes(b"\x89PNG")
    with (folder / "choices.jsonl").open("w") as lines, (folder / "preference_train.json").open("w") as whole:
        whole.write("[\n")
        for n in range(count):
            prompt = f"prompt {chance.randrange(200_000)} " + "word " * chance.randrange(30)
            shown = chance.sample(names, 4)
            row = {"id": f"b/{n}", "human_preference": chance.randrange(4), "prompt": prompt, "file_path": shown}
            row["user_hash"] = f"u{chance.randrange(2000)}"
            text = json.dumps(row)
            lines.write(text + "\n")
            whole.write(text + (",\n" if n < count - 1 else "\n]\n"))


def step(name: str, folder: Path) -> int:
    """Run one step; the choices that it saw."""
    from lib_hps.preferences.checking import check_records
    from lib_hps.preferences.reading import read_records
    from lib_hps.preferences.records import Record
    from lib_hps.preferences.splitting import part_of, split_records
    from lib_hps.preferences.statistics import statistics_of

    if name == "read align_sd":
        return sum(isinstance(one, Record) for one in read_records(folder / "preference_train.json"))
    found = read_records(folder, layout="choices")
    if name == "statistics":
        return statistics_of(found).records
    if name == "split (which part)":
        shares = {"train": 0.9, "test": 0.1}
        return sum(bool(part_of(one, shares, 0)) for one in found if isinstance(one, Record))
    if name == "split (written)":
        shares = {"train": 0.9, "test": 0.1}
        return sum(split_records(folder.parent / "parts", found, shares, seed=0, report=print).values())
    if name == "check rows":
        found = check_records(found, opens_pictures=False)
    return sum(isinstance(one, Record) for one in found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--choices", type=int, default=1_000_000)
    parser.add_argument("--steps", nargs="+", choices=STEPS, default=STEPS, metavar="STEP", help="some of the steps")
    parser.add_argument("--step", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.step:
        began = time.process_time()
        count = step(arguments.step, arguments.folder)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"| {arguments.step} | {count:,} | {time.process_time() - began:.0f} s | {peak:.0f} MiB |", flush=True)
        return
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "data"
        generate(folder, arguments.choices)
        size = (folder / "choices.jsonl").stat().st_size / 2**20
        print(f"{arguments.choices:,} choices, {size:.0f} MiB of lines\n")
        print("| step | choices | CPU time | peak memory |\n|---|---|---|---|", flush=True)
        for name in arguments.steps:
            subprocess.run([sys.executable, __file__, "--step", name, "--folder", str(folder)], check=True)


if __name__ == "__main__":
    main()
