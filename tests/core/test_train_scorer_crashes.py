"""`hps train-scorer`, killed, without disk space, or resumed by other processes: clear words, and nothing lost."""

from __future__ import annotations

import random
import resource
import signal
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("accelerate")

from safetensors.torch import load_file  # noqa: E402
from scorer_runs import Runs, lines  # noqa: E402
from warm_choices import record_warm_choices  # noqa: E402

pytestmark = pytest.mark.timeout(900)  # each starts many programs, and the machine may be busy
BLOCKS = ("--method", "blocks", "--epochs", "6", "--lr", "0.001", "--batch", "4")


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return record_warm_choices(tmp_path_factory.mktemp("made"), tmp_path_factory.mktemp("choices"), 40)


@pytest.fixture(scope="module")
def blocks(data, tmp_path_factory) -> tuple[Runs, dict[str, bytes]]:
    runs = Runs(data, tmp_path_factory.mktemp("blocks"), BLOCKS)
    return runs, runs.finish("whole")


def test_killed_while_it_reads_and_while_it_trains_it_ends_with_the_same_bytes(blocks):
    runs, whole = blocks
    log = runs.run("killed") / "log.jsonl"
    steps = lines(runs.run("whole") / "log.jsonl")
    assert runs.kill_when("killed", lambda: runs.cached("killed") >= 40)
    assert runs.kill_when("killed", lambda: lines(log) >= steps // 2)
    assert not runs.out("killed").exists()
    assert runs.finish("killed") == whole


def test_a_lora_killed_three_times_at_random_steps_ends_with_the_same_bytes(data, tmp_path):
    runs = Runs(data, tmp_path, ("--method", "lora", "--epochs", "6", "--batch", "4"))
    whole = runs.finish("whole")
    log, steps = runs.run("killed") / "log.jsonl", lines(runs.run("whole") / "log.jsonl")
    for line in sorted(random.Random(0).sample(range(1, steps - 2), 3)):
        assert runs.kill_when("killed", lambda line=line: lines(log) >= line)
        assert not runs.out("killed").exists()
    assert runs.finish("killed") == whole


def test_a_head_killed_while_it_reads_ends_with_the_same_bytes(data, tmp_path):
    runs = Runs(data, tmp_path, ("--method", "head"))
    whole = runs.finish("whole")
    assert runs.kill_when("killed", lambda: runs.cached("killed") >= runs.cached("whole") // 3)
    assert runs.finish("killed") == whole


def test_a_head_killed_while_it_is_fitted_ends_with_the_same_bytes(data, tmp_path):
    runs = Runs(data, tmp_path, ("--method", "head"))
    whole = runs.finish("whole")
    for moment in ("| 0/2 [", "| 1/2 ["):  # within the first fit, and within that of half the choices for the curve
        assert runs.kill_when_it_says("killed", moment)
        assert not runs.out("killed").exists()
        assert runs.cached("killed") == runs.cached("whole")
    assert runs.finish("killed") == whole
    logs = [(runs.run(name) / "log.jsonl").read_text() for name in ("killed", "whole")]
    assert logs[0] == logs[1]  # what the killed fits had said is gone


def test_where_the_disk_is_full_it_says_so_and_goes_on_later_to_the_same_bytes(blocks):
    runs, whole = blocks

    def limit() -> None:
        """Files end at 300 kB, less than a state needs and more than a picture's features."""
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))

    process = runs.start("full", preexec_fn=limit)
    _, errors = process.communicate()
    assert process.returncode == 2
    assert "Traceback" not in errors
    assert "hps: Cannot write" in errors
    assert "goes on from its last state" in errors
    assert not list((runs.folder / "full").rglob("*.part"))
    assert runs.finish("full") == whole


def test_a_run_goes_on_with_another_number_of_processes_and_says_so(blocks):
    runs, _ = blocks
    log = runs.run("more") / "log.jsonl"
    steps = lines(runs.run("whole") / "log.jsonl")
    assert runs.kill_when("more", lambda: lines(log) >= 2 * steps // 3)
    process = runs.start("more", processes=2)
    _, errors = process.communicate()
    assert process.returncode == 0, errors[-2000:]
    assert "begun by 1 process" in errors
    mine, theirs = load_file(runs.out("more")), load_file(runs.out("whole"))
    for name in theirs:
        torch.testing.assert_close(mine[name], theirs[name], atol=1e-5, rtol=0)
