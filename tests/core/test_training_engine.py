"""The training engine: seeded, resumable to the last bit, the same on several processes."""

from __future__ import annotations

import errno
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("accelerate")

from engine_toy import SETTINGS, Toy, weights  # noqa: E402

from lib_hps.errors import InputError, StorageError  # noqa: E402
from lib_hps.training.engine import train  # noqa: E402
from lib_hps.training.engine_config import EngineConfig  # noqa: E402
from lib_hps.training.sampling import batch_indices, example_generator  # noqa: E402
from lib_hps.training.schedule import learning_rate_factor  # noqa: E402

ROOT = Path(__file__).parents[2]
PROGRAM = Path(__file__).with_name("engine_toy.py")


def run_toy(folder: Path, **changes) -> tuple[Toy, object]:
    toy = Toy()
    return toy, train(toy, EngineConfig(**{**SETTINGS, **changes}), folder)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory) -> torch.Tensor:
    toy, _ = run_toy(tmp_path_factory.mktemp("whole"))
    return weights(toy)


class Killed(Exception):
    pass


class Fragile(Toy):
    """Dies while the examples of one step are loaded."""

    def __init__(self, dies_at: int) -> None:
        super().__init__()
        self._left = dies_at * SETTINGS["batch"]

    def load(self, index, generator):
        self._left -= 1
        if self._left < 0:
            raise Killed
        return super().load(index, generator)


def test_it_learns(tmp_path):
    toy = Toy(dropout=0.0)
    before = toy.evaluate()["value"]
    train(toy, EngineConfig(**{**SETTINGS, "steps": 150}), tmp_path)
    assert toy.evaluate()["value"] > before / 4


def test_the_same_seed_gives_the_same_weights(tmp_path, uninterrupted):
    toy, _ = run_toy(tmp_path)
    assert torch.equal(weights(toy), uninterrupted)
    other, _ = run_toy(tmp_path / "other", seed=6)
    assert not torch.equal(weights(other), uninterrupted)


@pytest.mark.parametrize("step", [1, 3, 4, 5, 9, 17, 23])
def test_a_run_that_died_goes_on_to_the_same_bits(tmp_path, uninterrupted, step):
    with pytest.raises(Killed):
        train(Fragile(step), EngineConfig(**SETTINGS), tmp_path)
    toy, result = run_toy(tmp_path)
    assert torch.equal(weights(toy), uninterrupted)
    assert result.step == SETTINGS["steps"]
    steps = [line["step"] for line in map(json.loads, (tmp_path / "log.jsonl").read_text().splitlines())]
    assert steps == list(range(1, SETTINGS["steps"] + 1))


def test_a_killed_process_goes_on_to_the_same_bits(tmp_path, uninterrupted):
    command = [sys.executable, str(PROGRAM), str(tmp_path / "run"), str(tmp_path / "weights.pt"), "save_every=1"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": str(torch.get_num_threads())}
    chance = random.Random(4)
    for _ in range(3):
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        log = tmp_path / "run" / "log.jsonl"
        wanted = chance.randrange(1, SETTINGS["steps"])
        while process.poll() is None and not (log.exists() and log.read_text().count("\n") >= wanted):
            time.sleep(0.01)
        process.kill()
        process.wait()
    subprocess.run(command, env=environment, check=True, capture_output=True)
    assert torch.equal(torch.load(tmp_path / "weights.pt", weights_only=True), uninterrupted)


def launched(processes: int, *arguments: str) -> None:
    """Run the toy in so many real processes (torchrun; `accelerate launch --cpu` may start only one)."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
    done = subprocess.run(
        [*launch, str(PROGRAM), *arguments], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count(f"processes={processes}") == processes


def test_two_processes_with_half_the_examples_each_equal_one(tmp_path):
    found = []
    for count in (1, 2):
        out = tmp_path / f"{count}.pt"
        launched(count, str(tmp_path / str(count)), str(out), "--no-dropout")
        found.append(torch.load(out, weights_only=True))
    torch.testing.assert_close(found[1], found[0], atol=1e-5, rtol=0)
    logged = [len((tmp_path / count / "log.jsonl").read_text().splitlines()) for count in ("1", "2")]
    assert logged == [SETTINGS["steps"]] * 2  # the second process writes nothing


def test_a_run_goes_on_with_another_number_of_processes(tmp_path):
    launched(1, str(tmp_path / "whole"), str(tmp_path / "whole.pt"), "--no-dropout")
    for processes, steps in ((2, 9), (1, 16), (2, SETTINGS["steps"])):
        arguments = [str(tmp_path / "run"), str(tmp_path / "run.pt"), "--no-dropout", f"stop={steps}"]
        launched(processes, *arguments)
    whole, changed = (torch.load(tmp_path / f"{name}.pt", weights_only=True) for name in ("whole", "run"))
    torch.testing.assert_close(changed, whole, atol=1e-5, rtol=0)


def test_accumulated_parts_equal_the_whole_batch(tmp_path):
    found = []
    for micro in (8, 2):
        toy = Toy(dropout=0.0)
        train(toy, EngineConfig(**SETTINGS, micro_batch=micro), tmp_path / str(micro))
        found.append(weights(toy))
    torch.testing.assert_close(found[1], found[0], atol=1e-5, rtol=0)


def test_the_best_evaluated_weights_are_kept_and_patience_ends_the_run(tmp_path):
    class Falling(Toy):
        seen = 0

        def evaluate(self):
            self.seen += 1
            self.kept = weights(self) if self.seen == 2 else getattr(self, "kept", None)
            return {"value": {1: 0.1, 2: 0.5}.get(self.seen, 0.3)}

    toy = Falling()
    result = train(toy, EngineConfig(**SETTINGS, eval_every=2, patience=3), tmp_path)
    assert (result.best_step, result.step, result.stopped_early) == (4, 10, True)
    assert torch.equal(weights(toy), toy.kept)
    again = Falling()
    assert train(again, EngineConfig(**SETTINGS, eval_every=2, patience=3), tmp_path).step == 10
    assert torch.equal(weights(again), toy.kept)


def test_a_full_disk_leaves_the_last_whole_state(tmp_path, uninterrupted, monkeypatch):
    real, calls = os.fsync, []

    def full(handle):
        calls.append(handle)
        if len(calls) > 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(handle)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(StorageError, match="No space left"):
            run_toy(tmp_path)
    assert not list(tmp_path.glob("*.part"))
    toy, _ = run_toy(tmp_path)
    assert torch.equal(weights(toy), uninterrupted)


def test_a_state_of_another_run_is_refused_by_what_differs(tmp_path):
    run_toy(tmp_path)
    with pytest.raises(InputError, match=r"state\.pt.*lr = 0\.02.*0\.5"):
        run_toy(tmp_path, lr=0.5)
    (tmp_path / "state.pt").write_bytes((tmp_path / "state.pt").read_bytes()[:500])
    with pytest.raises(InputError, match=r"state\.pt is damaged"):
        run_toy(tmp_path)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"steps": 0}, "steps is 0"),
        ({"micro_batch": 9}, "micro_batch is 9"),
        ({"micro_batch": 3}, "parts of 3"),
        ({"lr": float("nan")}, "lr is nan"),
        ({"clip_norm": -1.0}, "clip_norm is -1"),
    ],
)
def test_bad_settings_are_refused_by_name(tmp_path, changes, named):
    with pytest.raises(InputError, match=named):
        run_toy(tmp_path, **changes)


def test_nothing_to_train_is_said(tmp_path):
    toy = Toy()
    toy.model.requires_grad_(False)
    with pytest.raises(InputError, match="every parameter of the model is frozen"):
        train(toy, EngineConfig(**SETTINGS), tmp_path)
    with pytest.raises(InputError, match="no usable example"):
        train(Toy(count=0), EngineConfig(**SETTINGS), tmp_path)


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path):
    with pytest.raises(InputError, match="loss became"):
        run_toy(tmp_path, lr=1e30, clip_norm=0.0)


def test_an_epoch_sees_every_example_once_in_another_order():
    def epoch(number: int) -> list[int]:
        return [i for step in range(5 * number, 5 * number + 5) for i in batch_indices(step, count=20, batch=4, seed=1)]

    assert sorted(epoch(0)) == sorted(epoch(1)) == list(range(20))
    assert epoch(0) != epoch(1)
    assert len(batch_indices(0, count=3, batch=8, seed=1)) == 8


def test_examples_draw_from_generators_of_their_own():
    drawn = {
        float(torch.rand((), generator=example_generator(seed, step, index)))
        for seed in range(3)
        for step in range(20)
        for index in range(20)
    }
    assert len(drawn) > 1190


def test_the_learning_rate_warms_up_and_falls():
    def at(step: int, schedule: str) -> float:
        return learning_rate_factor(step, steps=100, warmup=10, schedule=schedule)

    assert [at(0, "cosine"), at(9, "cosine"), at(10, "cosine")] == [0.1, 1.0, 1.0]
    assert at(55, "cosine") == pytest.approx(0.5)
    assert at(55, "linear") == pytest.approx(0.5)
    assert at(99, "constant") == 1.0
    assert at(99, "cosine") < 0.001
