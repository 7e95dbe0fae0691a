"""The pictures: emoji of three artists with their names, as one cached array.

Sources (npm packages, exact versions below): Noto Emoji (Apache-2.0), Twemoji (CC-BY-4.0), Fluent Emoji 3D (MIT);
names and keywords from Unicode CLDR (Unicode licence).
"""

from __future__ import annotations

import json
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

PACKAGES = {
    "google": "emoji-datasource-google@16.0.0",
    "twitter": "emoji-datasource-twitter@16.0.0",
    "fluent": "@lobehub/fluent-emoji-3d@1.1.0",
    "cldr": "cldr-annotations-full@48.2.0",
}
STYLES = ("noto", "twemoji", "3d")
SIZE_PX = 64

# Left out: what 64 px and 10 M parameters cannot hold (flags, people of every profession, signs and letters).
_SKIPPED_CATEGORIES = {"Flags", "Component"}
_SKIPPED_SUBCATEGORIES = {
    "person-role", "person-activity", "person-sport", "person-fantasy", "person-gesture", "person", "person-symbol",
    "person-resting", "family", "alphanum", "keycap", "arrow", "av-symbol", "time", "other-symbol", "zodiac",
    "religion", "transport-sign", "warning", "punctuation", "math", "currency", "gender", "phone", "lock", "mail",
    "writing",
}  # fmt: skip
_FAVOURED_CATEGORIES = {"Animals & Nature", "Food & Drink"}
_FAVOURED_SUBCATEGORIES = {"heart", "geometric", "sky & weather", "face-smiling", "cat-face"}


@dataclass(frozen=True)
class Emoji:
    """One named emoji. `weight` says how often training draws it, relative to the others."""

    code: str
    name: str
    keywords: tuple[str, ...]
    category: str
    subcategory: str
    weight: float


def fetch_packages(folder: Path) -> dict[str, Path]:
    """Download (with npm) and unpack the four packages into `folder`, once; return their roots."""
    roots = {}
    for key, spec in PACKAGES.items():
        root = folder / key
        if not (root / "package").is_dir():
            folder.mkdir(parents=True, exist_ok=True)
            done = subprocess.run(
                ["npm", "pack", "--silent", spec], cwd=folder, check=True, capture_output=True, text=True
            )
            with tarfile.open(folder / done.stdout.strip().splitlines()[-1]) as tar:
                tar.extractall(root, filter="data")
        roots[key] = root / "package"
    return roots


def load_emoji(folder: Path) -> tuple[list[Emoji], np.ndarray]:
    """The emoji that all three artists drew, and their pictures.

    Returns:
        The list (N) and a uint8 array (N, 3 styles, 64, 64, 4), RGBA, styles in the order of `STYLES`.
    """
    cache, names = folder / "pictures.npy", folder / "pictures.json"
    if cache.exists() and names.exists():
        return [_emoji_from_json(e) for e in json.loads(names.read_text())], np.load(cache)
    roots = fetch_packages(folder)
    emoji, pictures = [], []
    annotations = json.loads((roots["cldr"] / "annotations/en/annotations.json").read_text())
    annotations = annotations["annotations"]["annotations"]
    fluent = {_bare(p.stem): p for p in sorted((roots["fluent"] / "assets").glob("*.webp"))}
    for row in json.loads((roots["google"] / "emoji.json").read_text()):
        if row["category"] in _SKIPPED_CATEGORIES or row["subcategory"] in _SKIPPED_SUBCATEGORIES:
            continue
        files = [
            roots["google"] / "img/google/64" / row["image"],
            roots["twitter"] / "img/twitter/64" / row["image"],
            fluent.get(_bare(row["unified"])),
        ]
        if any(f is None or not f.exists() for f in files):
            continue
        emoji.append(_describe(row, annotations))
        pictures.append(np.stack([_rgba(f) for f in files if f is not None]))
    stacked = np.stack(pictures)
    np.save(cache, stacked)
    names.write_text(json.dumps([vars(e) for e in emoji]))
    return emoji, stacked


def _emoji_from_json(row: dict) -> Emoji:
    return Emoji(**{**row, "keywords": tuple(row["keywords"])})


def _bare(code: str) -> str:
    """`2764-FE0F` and `2764` name one emoji: drop the variation selector."""
    return "-".join(c for c in code.lower().split("-") if c != "fe0f")


def _describe(row: dict, annotations: dict) -> Emoji:
    char = "".join(chr(int(c, 16)) for c in row["unified"].split("-"))
    note = annotations.get(char) or annotations.get(char.replace("\ufe0f", "")) or {}
    name = (note.get("tts") or [row["name"]])[0].lower().replace("“", "").replace("”", "").replace("’", "'")
    favoured = row["category"] in _FAVOURED_CATEGORIES or row["subcategory"] in _FAVOURED_SUBCATEGORIES
    return Emoji(
        code=row["unified"].lower(),
        name=name,
        keywords=tuple(k.lower() for k in note.get("default", []) if k.lower() != name and k.isascii()),
        category=row["category"],
        subcategory=row["subcategory"],
        weight=2.0 if favoured else 1.0,
    )


def _rgba(file: Path) -> np.ndarray:
    image = Image.open(file).convert("RGBA")
    if image.size != (SIZE_PX, SIZE_PX):
        # premultiplied resize: transparent pixels must not bleed their colour into the edge
        image = image.convert("RGBa").resize((SIZE_PX, SIZE_PX), Image.Resampling.LANCZOS).convert("RGBA")
    return np.asarray(image)
