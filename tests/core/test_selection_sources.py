"""Where captions come from: sidecars, JSONL, DiffusionDB's tables and parts; and folders that were drawn otherwise."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from lib_hps.errors import InputError
from lib_hps.infotext import format_infotext, png_info
from lib_hps.training.selection.drawing import Look, draw_all, read_prompts
from lib_hps.training.selection.sources import captioned

pyarrow = pytest.importorskip("pyarrow")


def paint(path: Path, infotext: str | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (16, 16), "red").save(path, pnginfo=png_info(infotext) if infotext else None)
    return path


def found(source: Path) -> tuple[dict[str, str], list[str]]:
    problems: list[str] = []
    return {file.name: caption for file, caption in captioned(source, report=problems.append)}, problems


@pytest.fixture
def diffusiondb(tmp_path):
    """Two parts; part 1 has its JSON, both are in the table, which knows two million others as well."""
    import pyarrow.parquet as parquet

    for part, names in ((1, ("a", "b")), (2, ("c",))):
        for name in names:
            paint(tmp_path / "images" / f"part-{part:06d}" / f"{name}.png")
    rows = {"a.png": {"p": "a cat", "se": 1, "c": 7.0, "st": 50, "sa": "k_lms"}, "z.png": {"p": "not here"}}
    (tmp_path / "images" / "part-000001" / "part-000001.json").write_text(json.dumps(rows))
    table = {
        "image_name": [*(f"other-{n}.png" for n in range(70_000)), "b.png", "c.png"],
        "prompt": [*("x" for _ in range(70_000)), "a dog ", "a bird"],
        "part_id": [*(7 for _ in range(70_000)), 1, 2],
    }
    parquet.write_table(pyarrow.table(table), tmp_path / "metadata.parquet")
    return tmp_path


@pytest.mark.parametrize("given", [".", "metadata.parquet"])
def test_diffusiondb_is_read_by_its_table_and_its_parts(diffusiondb, given):
    captions, problems = found(diffusiondb / given)
    assert captions == {"a.png": "a cat", "b.png": "a dog", "c.png": "a bird"}
    assert problems == []


def test_one_part_alone_is_read_by_its_json(diffusiondb):
    captions, problems = found(diffusiondb / "images" / "part-000001")
    assert captions == {"a.png": "a cat"}
    assert ["b.png" in problem for problem in problems] == [True]


def test_tables_and_parts_of_something_else_are_named(tmp_path):
    import pyarrow.parquet as parquet

    paint(tmp_path / "a.png", "a cat\nSteps: 1, Seed: 1, Size: 16x16")
    parquet.write_table(pyarrow.table({"x": [1]}), tmp_path / "other.parquet")
    (tmp_path / "torn.parquet").write_bytes(b"PAR1 and nothing")
    (tmp_path / "part-1.json").write_text("[1]")
    captions, problems = found(tmp_path)
    assert captions == {"a.png": "a cat"}
    assert sorted(Path(problem.split()[0]).name for problem in problems) == [
        "other.parquet",
        "part-1.json",
        "torn.parquet",
    ]


def test_a_sidecar_wins_over_a_listed_caption_over_the_infotext(tmp_path):
    for name in "abc":
        paint(tmp_path / f"{name}.png", f"infotext of {name}\nSteps: 1, Seed: 1, Size: 16x16")
    (tmp_path / "a.txt").write_text("a's own\n")
    rows = [{"file_name": f"{name}.png", "text": f"listed {name}"} for name in "ab"]
    (tmp_path / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert found(tmp_path)[0] == {"a.png": "a's own", "b.png": "listed b", "c.png": "infotext of c"}
    assert found(tmp_path / "metadata.jsonl")[0] == {"a.png": "listed a", "b.png": "listed b"}


class Painter:
    """An artist that counts."""

    def __init__(self, **facts):
        self.facts, self.drawn = {"checkpoint": "m", "checkpoint hash": "1", **facts}, []

    def draw(self, prompt, seed, look):
        self.drawn.append((prompt, seed))
        return Image.new("RGB", (16, 16), "blue"), format_infotext(
            prompt, settings={"Steps": 1, "Seed": seed, "Size": "16x16"}
        )


LOOK = Look(steps=4)


def drawn(folder, painter, look=LOOK, prompts=("a cat", "a dog")):
    return [(prompt, seed) for prompt, seed, _ in draw_all(painter, prompts, 2, folder, look)]


def test_only_what_is_missing_is_drawn_again(tmp_path):
    first, second = Painter(), Painter()
    wanted = [("a cat", 0), ("a cat", 1), ("a dog", 1000), ("a dog", 1001)]
    assert drawn(tmp_path / "p", first) == first.drawn == wanted
    (tmp_path / "p" / "00000" / "001.png").unlink()
    assert drawn(tmp_path / "p", second) == wanted
    assert second.drawn == [("a cat", 1)]
    third = Painter()
    drawn(tmp_path / "p", third, prompts=("a cat", "a bird"))
    assert third.drawn == [("a bird", 1000), ("a bird", 1001)]


@pytest.mark.parametrize(
    ("changes", "facts", "named"),
    [
        ({"steps": 5}, {}, "steps = 4, now it is 5"),
        ({"cfg": 3.0}, {}, "cfg = 7.0, now it is 3.0"),
        ({"sampler": "DDIM"}, {}, "sampler = .DPM"),
        ({"negative": "dark"}, {}, "negative"),
        ({"side_px": 64}, {}, "side_px"),
        ({}, {"checkpoint": "other"}, "checkpoint = 'm', now it is 'other'"),
        ({}, {"checkpoint hash": "2"}, "checkpoint hash"),
    ],
)
def test_a_folder_that_was_drawn_otherwise_is_refused_by_what_differs(tmp_path, changes, facts, named):
    drawn(tmp_path, Painter())
    painter = Painter(**facts)
    with pytest.raises(InputError, match=named):
        drawn(tmp_path, painter, replace(LOOK, **changes))
    assert painter.drawn == []


def test_a_folder_of_other_pictures_and_empty_prompts_are_refused(tmp_path):
    paint(tmp_path / "mine.png")
    with pytest.raises(InputError, match="drawn by something else"):
        drawn(tmp_path, Painter())
    (tmp_path / "p.txt").write_text("\n \n")
    with pytest.raises(InputError, match="no prompts"):
        read_prompts(tmp_path / "p.txt")
