"""Appending choices: a kill at any time loses at most what was being written, two writers lose nothing."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from lib_hps.preferences.choices import LINES, append_rows
from lib_hps.preferences.reading import read_records
from lib_hps.preferences.records import BrokenRow, Record

ROOT = Path(__file__).parents[2]
WRITER = """
import sys
from pathlib import Path
from lib_hps.preferences.choices import append_rows
folder, name, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
for n in range(count):
    row = {"id": f"{name}/{n}", "human_preference": -1, "prompt": "p" * 3000, "file_path": ["images/x.png"]}
    append_rows(folder, [row])
    print(n, flush=True)
"""


def row(n: int, prompt: str = "ä cat") -> dict:
    return {"id": f"a/{n}", "human_preference": 0, "prompt": prompt, "file_path": ["images/x.png", "images/y.png"]}


def standing(folder: Path) -> list[str]:
    return [one.id for one in read_records(folder, labels_only=True) if isinstance(one, Record)]


def test_cut_at_every_byte_the_whole_lines_stand_and_writing_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda handle: None)  # a busy disk takes its time for hundreds of them
    folder = tmp_path / "c"
    folder.mkdir()
    append_rows(folder, [row(n) for n in range(3)])
    whole = (folder / LINES).read_bytes()
    for cut in range(len(whole) + 1):
        (folder / LINES).write_bytes(whole[:cut])
        lines = whole[:cut].count(b"\n")
        found = list(read_records(folder, labels_only=True))
        assert [one.id for one in found if isinstance(one, Record)] == [f"a/{n}" for n in range(lines)]
        assert sum(isinstance(one, BrokenRow) for one in found) == (cut > 0 and not whole[:cut].endswith(b"\n"))
        append_rows(folder, [row(9)])
        assert standing(folder) == [*(f"a/{n}" for n in range(lines)), "a/9"]


def test_a_torn_line_longer_than_a_block_is_cut_off(tmp_path):
    append_rows_to = tmp_path / "c"
    append_rows_to.mkdir()
    append_rows(append_rows_to, [row(1, "x" * 200_000)])
    with (append_rows_to / LINES).open("ab") as stream:
        stream.write(json.dumps(row(2, "y" * 200_000)).encode())
    append_rows(append_rows_to, [row(3)])
    assert standing(append_rows_to) == ["a/1", "a/3"]


def start(folder: Path, name: str, count: int) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", WRITER, str(folder), name, str(count)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def test_killed_at_random_times_nothing_that_was_acknowledged_is_lost(tmp_path):
    folder, chance = tmp_path / "c", random.Random(5)
    folder.mkdir()
    told: list[str] = []
    for life in range(6):
        writer = start(folder, f"life{life}", 10_000)
        assert writer.stdout is not None
        writer.stdout.readline()
        time.sleep(chance.uniform(0.0, 0.1))
        writer.send_signal(signal.SIGKILL)
        heard = writer.stdout.read().splitlines()
        writer.wait()
        told += [f"life{life}/{n}" for n in range(int(heard[-1]) + 1 if heard else 1)]
        found = standing(folder)
        assert set(told) <= set(found)
        assert len(found) <= len(told) + life + 1  # written, but killed before it was said


def test_two_writers_at_once_lose_nothing(tmp_path):
    folder = tmp_path / "c"
    folder.mkdir()
    writers = [start(folder, name, 25) for name in ("x", "y")]
    for writer in writers:
        writer.communicate(timeout=120)
        assert writer.returncode == 0
    found = standing(folder)
    assert sorted(found) == sorted(f"{name}/{n}" for name in "xy" for n in range(25))
