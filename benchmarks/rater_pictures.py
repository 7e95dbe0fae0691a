"""The pictures that simulated raters choose from: groups of eight for one prompt, by tiny-sd or by emoji artists.

In every group three pictures are asked to show what the prompt says; the others differ in style, background or the
thing shown, so that what a rater could like is there to choose. What an emoji shows is known; what tiny-sd drew is
read off its pictures (`rater_reading`). Kept outside the repository; made once.

    python -m benchmarks.rater_pictures ~/.cache/hps/raters
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

STYLES = ("noto", "twemoji", "3d")
BACKGROUNDS = ("white", "white", "white", "pink", "blue", "green", "yellow", "purple", "orange", "grey", "black")
# what differs from the prompt in each of the eight pictures of a group
CHANGES = ((), (), (), ("style",), ("background",), ("style", "background"), ("concept",), ("concept", "style"))


@dataclass(frozen=True)
class Said:
    """What a picture shows, or what a prompt asks for."""

    concept: str
    style: str
    background: str

    @property
    def prompt(self) -> str:
        ground = "" if self.background == "white" else f", {self.background} background"
        return f"{self.concept}, {self.style} style{ground}"


@dataclass(frozen=True)
class Seen:
    """What a picture shows to somebody who knows the prompt.

    Attributes:
        concept: how surely it is the thing that the prompt asks for, 0 to 1.
        styles: how surely it is of each style.
        background: its colour.
    """

    concept: float
    styles: Mapping[str, float]
    background: str

    @classmethod
    def of(cls, said: Said, wanted: Said) -> Seen:
        """Of a picture that shows what is said, beyond doubt."""
        return cls(float(said.concept == wanted.concept), {s: float(s == said.style) for s in STYLES}, said.background)


@dataclass(frozen=True)
class Shown:
    """One picture of a group."""

    file: Path
    seen: Seen


@dataclass(frozen=True)
class Group:
    """A prompt and its eight pictures."""

    wanted: Said
    pictures: tuple[Shown, ...]


def plan(concepts: list[str], groups: int, seed: int, variants: int) -> list[tuple[Said, list[Said]]]:
    """Prompts, `variants` behind each other of each concept, and what their pictures shall show.

    Fewer groups are the first of more.
    """
    rng = random.Random(seed)
    names = [name for name in rng.sample(concepts, len(concepts)) for _ in range(variants)]
    planned = []
    for concept in names[:groups]:
        wanted = Said(concept, rng.choice(STYLES), rng.choice(BACKGROUNDS))
        others = {"concept": concepts, "style": list(STYLES), "background": list(BACKGROUNDS)}
        shown = []
        for changes in CHANGES:
            fields = asdict(wanted)
            for name in changes:
                fields[name] = rng.choice([value for value in others[name] if value != fields[name]])
            shown.append(Said(**fields))
        planned.append((wanted, shown))
    return planned


def file_of(folder: Path, group: int, place: int) -> Path:
    """Of one picture."""
    return folder / f"{group:04d}" / f"{place}.png"


def make(folder: Path, source: str, *, groups: int, variants: int, seed: int, emoji_folder: Path) -> list[Group]:
    """The groups of a source ("tiny-sd" or "emoji"), made where they are not there yet."""
    from benchmarks.rater_drawing import compose_from_emoji, draw_with_tiny_sd
    from tools.tiny_models.emoji import load_emoji

    concepts = sorted({each.name for each in load_emoji(emoji_folder)[0]})
    planned = plan(concepts, groups, seed, variants)
    if source == "tiny-sd":
        draw_with_tiny_sd(folder / source, planned, seed)
    else:
        compose_from_emoji(folder / source, planned, seed, emoji_folder)
    seen = [[Seen.of(said, wanted) for said in asked] for wanted, asked in planned]
    if source == "tiny-sd":
        from benchmarks.rater_reading import load_readers

        readers = load_readers(emoji_folder)
        for number, (wanted, asked) in enumerate(planned):
            files = [file_of(folder / source, number, place) for place in range(len(asked))]
            seen[number] = readers.seen(files, wanted, number)
    rows = [
        {"wanted": asdict(wanted), "asked": [asdict(said) for said in asked], "seen": [asdict(each) for each in shown]}
        for (wanted, asked), shown in zip(planned, seen, strict=True)
    ]
    (folder / source / "groups.json").write_text(json.dumps(rows, indent=1), encoding="utf-8")
    return read(folder, source)


def read(folder: Path, source: str) -> list[Group]:
    """The groups that `make` made."""
    found = []
    for number, row in enumerate(json.loads((folder / source / "groups.json").read_text(encoding="utf-8"))):
        shown = [Shown(file_of(folder / source, number, at), Seen(**each)) for at, each in enumerate(row["seen"])]
        found.append(Group(Said(**row["wanted"]), tuple(shown)))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--groups", type=int, default=2094, help="prompts")
    parser.add_argument("--variants", type=int, default=2, help="prompts for the same thing")
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--source", choices=("emoji", "tiny-sd"), action="append")
    arguments = parser.parse_args()
    for source in arguments.source or ("emoji", "tiny-sd"):
        seed = arguments.seed + (source == "emoji")
        numbers = {"groups": arguments.groups, "variants": arguments.variants, "seed": seed}
        made = make(arguments.folder, source, emoji_folder=arguments.folder / "packages", **numbers)
        print(source, len(made), "groups")


if __name__ == "__main__":
    main()
