"""Small data sets in the real formats, made of painted pictures."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

from board_host import paint
from PIL import Image

PROMPTS = ("a cat", "a red heart", "a dog  in the rain", "ein Kätzchen")


def pictures_in(folder: Path, count: int = 8) -> list[str]:
    """Write pictures; their names."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"{n}.png" for n in range(count)]
    for n, name in enumerate(names):
        paint(f"{n + 1}*1").save(folder / name)
    return names


def _dump(path: Path, rows: list) -> Path:
    path.write_text(json.dumps(rows, indent=1), encoding="utf-8")
    return path


def align_sd(folder: Path) -> Path:
    names = pictures_in(folder / "preference_images")
    rows = [
        {"human_preference": n % 2, "prompt": PROMPTS[n % 4], "id": n, "file_path": [names[n], names[n + 1]],
         "user_hash": f"user{n % 2}", "contain_name": False}
        for n in range(6)
    ]  # fmt: skip
    return _dump(folder / "preference_train.json", rows).parent


def hpdv2(folder: Path) -> Path:
    names = pictures_in(folder / "train")
    raw = [{"rank": [1, 2, 3], "user_hash": "a"}, {"rank": [1, 3, 2], "user_hash": "b"}]
    rows = [{"human_preference": [0, 1], "prompt": PROMPTS[0], "file_path": names[:2]}]
    _dump(folder / "train.json", rows)
    _dump(
        folder / "test.json",
        [{"prompt": "a", "image_path": names[:3], "rank": [1.0, 2.5, 2.5], "raw_annotations": raw}],
    )
    return folder


def imagereward(folder: Path) -> Path:
    names = pictures_in(folder / "images")
    rows = [
        {
            "id": "005-1",
            "prompt": PROMPTS[1],
            "generations": [f"images/{n}" for n in names[:4]],
            "ranking": [2, 1, 2, 5],
        }
    ]
    return _dump(folder / "test.json", rows)


def pickapic(folder: Path) -> Path:
    import pyarrow
    import pyarrow.parquet as parquet

    folder.mkdir(parents=True)

    def jpeg(n: int) -> bytes:
        stream = io.BytesIO()
        paint(f"{n}*1").convert("RGB").save(stream, "JPEG")
        return stream.getvalue()

    rows = [
        {"caption": PROMPTS[n % 4], "jpg_0": jpeg(n), "jpg_1": jpeg(n + 1), "label_0": label, "label_1": 1 - label,
         "has_label": True, "ranking_id": n, "user_id": n % 2, "image_0_uid": f"u{n}", "image_1_uid": f"u{n + 1}"}
        for n, label in enumerate((1.0, 0.0, 0.5), 1)
    ]  # fmt: skip
    parquet.write_table(pyarrow.Table.from_pylist(rows), folder / "test-00000-of-00001.parquet")
    return folder


def agiqa3k(folder: Path) -> Path:
    names = pictures_in(folder, 3)
    path = folder / "data.csv"
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(
            ["name", "prompt", "adj1", "adj2", "style", "mos_quality", "std_quality", "mos_align", "std_align"]
        )
        for n, name in enumerate(names):
            writer.writerow([name, "statue, a man", "", "", "", 1 + n, 0.3, 2, 0.4])
    return path


def graded(folder: Path) -> Path:
    for n, grade in enumerate(("bad", "good", "great")):
        (folder / grade).mkdir(parents=True)
        paint(f"{n + 1}*1").save(folder / grade / f"12_red_cat_{n}.png")
        paint(f"{n + 9}*1").save(folder / grade / f"77{n}_alone_{n}_5.png")
    return folder


def liked(folder: Path) -> Path:
    from lib_hps.infotext import png_info

    for n, grade in enumerate(("liked", "disliked", "liked")):
        (folder / grade).mkdir(parents=True, exist_ok=True)
        paint(f"{n + 1}*1").save(
            folder / grade / f"{n}.png", pnginfo=png_info("a tree\nSteps: 4, Sampler: DDIM, Seed: 1")
        )
    return folder


MAKERS = {one.__name__: one for one in (align_sd, hpdv2, imagereward, pickapic, agiqa3k, graded, liked)}


def damage(path: Path) -> None:
    """Cut a picture in two."""
    Image.open(path).load()
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
