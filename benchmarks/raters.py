"""What 50, 200 and 1,000 choices of a rater with a known taste teach: accuracy on prompts that were never learned from.

Trains with `lib_hps.training` as `hps train-scorer` does. A share of 100 % is what the rater's own utility gets on the
same noisy picks. Each outcome is kept in a file under the start model's digest and the version of the features, so a
run that was ended goes on, and others are measured anew.

    python -m benchmarks.rater_pictures ~/.cache/hps/raters
    python -m benchmarks.plain_clip WORK ~/.cache/hps/raters/plain
    python -m benchmarks.raters ~/.cache/hps/raters --plain ~/.cache/hps/raters/plain/model.safetensors \
        --out ~/.cache/hps/raters/outcome --plot docs/raters.png
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.rater_orders import OrderingRater
from benchmarks.rater_pictures import Group, read
from benchmarks.rater_report import OTHER, PLAIN, START, plot, table
from benchmarks.rater_tastes import TASTES, Pick, Rater
from lib_hps.training.scorer_config import Method

SIZES = (50, 200, 1000)
RATERS: Mapping[str, type[Rater]] = {"picks": Rater, "orders": OrderingRater}
TEST_PICKS = 8_000
LEARNED = 0.75  # of the prompts
RESAMPLES = 2_000
Scores = Mapping[tuple[int, Path], float]
Share = tuple[float, float, float]  # share of the ceiling, and its 95 % interval


@dataclass(frozen=True)
class Job:
    """A rater and its pictures; `plain` is the file of a CLIP without choices, where there is one.

    Attributes:
        base: the start model: the name of a scorer, or a classifier's file, which is called by its folder.
    """

    folder: Path
    source: str
    taste: str
    plain: Path | None = None
    answers: str = "picks"
    method: Method = "head"
    sizes: Sequence[int] = SIZES
    base: str = "tiny-hps"

    @property
    def name(self) -> str:
        base = Path(self.base).parent.name or self.base
        more = [
            word
            for word, usual in ((self.answers, "picks"), (self.method, "head"), (base, "tiny-hps"))
            if word != usual
        ]
        return ", ".join([self.source, self.taste, *more])


def first_unseen(groups: Sequence[Group]) -> int:
    """The number of the first group that nothing is learned from; no concept is both learned and measured."""
    cut = int(len(groups) * LEARNED)
    while groups[cut].wanted.concept == groups[cut - 1].wanted.concept:
        cut += 1
    return cut


def scored(scorer: str, groups: Sequence[Group], numbers: Sequence[int]) -> Scores:
    """The score of every picture of these groups for its group's prompt."""
    from lib_hps.scoring import load_scorer

    pairs = [(number, shown.file) for number in numbers for shown in groups[number].pictures]
    loaded = load_scorer(scorer, device="cpu")
    values = loaded.score([file for _, file in pairs], [groups[number].wanted.prompt for number, _ in pairs])
    return dict(zip(pairs, map(float, values), strict=True))


def share_of_ceiling(picks: Sequence[Pick], scores: Scores) -> Share:
    """Agreement with the answers over that of the rater's own utility; the interval is a bootstrap over concepts."""
    right = np.array([p.agreement([scores[p.group, c.file] for c in p.candidates]) for p in picks])
    ideal = np.array([p.agreement(p.utilities) for p in picks])
    concepts, number = np.unique([pick.concept for pick in picks], return_inverse=True)
    sums = np.stack([np.bincount(number, values, len(concepts)) for values in (right, ideal)])  # (2, concepts)
    drawn = np.random.default_rng(0).integers(len(concepts), size=(RESAMPLES, len(concepts)))
    got, best = sums[:, drawn].sum(axis=-1)
    low, high = np.percentile(got / best, [2.5, 97.5])
    return float(right.sum() / ideal.sum()), float(low), float(high)


def trained(picks: Sequence[Pick], job: Job, work: Path) -> str:
    """The classifier that `hps train-scorer` makes of these picks."""
    from lib_hps.training.scorer_config import ScorerConfig
    from lib_hps.training.scorer_training import train_scorer

    images = job.folder / job.source
    rows = []
    for number, pick in enumerate(picks):
        files = [str(shown.file.relative_to(images)) for shown in pick.candidates]
        rows.append({"id": number, "prompt": pick.prompt, "file_path": files, "edges": pick.ranking.edges})
    data, out = work / "choices.jsonl", work / "taste.safetensors"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    validation = 0.0 if job.method == "head" else 0.1  # the head has its own cross-validation
    places = {"device": "cpu", "images": images}
    config = ScorerConfig(base=job.base, method=job.method, validation_share=validation, test_share=0.0, **places)
    train_scorer(data, out, work / "run", config)
    return str(out)


def measure(job: Job, outcome: dict[str, Any], keep: Path) -> None:
    """Fill in what is missing of a job's outcome."""
    groups = read(job.folder, job.source)
    cut = first_unseen(groups)
    rater = RATERS[job.answers](job.taste, groups)
    picks, test = rater.picks(range(cut), max(SIZES), 1), rater.picks(range(cut, len(groups)), TEST_PICKS, 2)
    found = outcome.setdefault(job.name, {"prompts": cut, "unseen": len(groups) - cut})
    found["ceiling"] = float(np.mean([p.agreement(p.utilities) for p in test]))
    found["chance"] = rater.chance / found["ceiling"]
    if isinstance(rater, OrderingRater):
        found["errors by gap"] = rater.curve()
    known = {START: job.base, OTHER: OTHER} | ({PLAIN: str(job.plain)} if job.plain else {})
    for name in (*known, *map(str, job.sizes)):
        if name in found:
            continue
        with TemporaryDirectory(prefix="hps-") as folder:
            scorer = known.get(name) or trained(picks[: int(name)], job, Path(folder))
            found[name] = share_of_ceiling(test, scored(scorer, groups, range(cut, len(groups))))
        print(job.name, name, *(f"{100 * value:.1f}" for value in found[name]), flush=True)
        keep.write_text(json.dumps({"digest": outcome["digest"], job.name: found}, indent=1), encoding="utf-8")


def main() -> None:
    from lib_hps.scoring.clip.head_features import FEATURES
    from lib_hps.training.scorer_base import load_base

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="of benchmarks.rater_pictures")
    parser.add_argument("--out", type=Path, required=True, help="folder of the outcomes, a file for each taste")
    parser.add_argument("--plain", type=Path, help="classifier's file of benchmarks.plain_clip")
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--source", choices=("tiny-sd", "emoji"), action="append")
    parser.add_argument("--taste", choices=list(TASTES), action="append")
    parser.add_argument("--answers", choices=list(RATERS), default="picks", help="of the raters (see their modules)")
    parser.add_argument("--method", choices=("head", "lora", "blocks"), default="head", help="of hps train-scorer")
    parser.add_argument("--base", default="tiny-hps", help="start model: a scorer's name or a classifier's file")
    parser.add_argument("--sizes", type=int, nargs="+", choices=SIZES, default=SIZES, help="choices to learn from")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    digest = f"{load_base(arguments.base).digest} {FEATURES}"
    whole: dict[str, Any] = {}
    for source in arguments.source or ("tiny-sd", "emoji"):
        for taste in arguments.taste or TASTES:
            job = Job(
                arguments.folder, source, taste, arguments.plain, arguments.answers, arguments.method, arguments.sizes,
                arguments.base,
            )  # fmt: skip
            keep = arguments.out / f"{job.name.replace(', ', '-').replace(' ', '-')}.json"
            outcome = json.loads(keep.read_text(encoding="utf-8")) if keep.exists() else {}
            outcome = outcome if outcome.get("digest") == digest else {"digest": digest}
            measure(job, outcome, keep)
            whole |= {name: found for name, found in outcome.items() if name != "digest"}
    print(table(whole, SIZES))
    if arguments.plot:
        plot(whole, arguments.plot, SIZES)


if __name__ == "__main__":
    main()
