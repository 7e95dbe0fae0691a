"""Choices in, a classifier out: the commands, the file format, the scorer and the report, on the real tiny-hps."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")
pytest.importorskip("accelerate")

from preference_sets import MAKERS  # noqa: E402
from warm_choices import record_warm_choices  # noqa: E402

from lib_hps.cli import main  # noqa: E402
from lib_hps.errors import WeightsError  # noqa: E402
from lib_hps.ranking import Ranking  # noqa: E402
from lib_hps.scoring import list_scorers, load_scorer  # noqa: E402
from lib_hps.scoring.classifier_file import ScorerCard, write_classifier  # noqa: E402
from lib_hps.scoring.clip.config import ClipConfig, TextConfig, VisionConfig  # noqa: E402
from lib_hps.scoring.clip.head import HeadWeights, TasteHead  # noqa: E402
from lib_hps.scoring.clip.head_features import FEATURES, describe  # noqa: E402
from lib_hps.scoring.clip.model import build  # noqa: E402
from lib_hps.training.head_answers import answers  # noqa: E402
from lib_hps.training.losses import preference_loss  # noqa: E402
from lib_hps.training.scorer_base import load_base  # noqa: E402

ROOT = Path(__file__).parents[2]
SHARED = Path(os.environ.get("HPS_PREFERENCE_DATA", ROOT.parent / "shared/data/preferences"))


@pytest.fixture(scope="module")
def board_choices(tmp_path_factory) -> Path:
    return record_warm_choices(tmp_path_factory.mktemp("made"), tmp_path_factory.mktemp("choices"))


@pytest.fixture
def weights(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("HPS_DIR", raising=False)
    return tmp_path / "cache" / "hps"


def warm_and_cold(folder: Path) -> list[Path]:
    rng = np.random.default_rng(7)
    files = []
    for name, tint in (("warm", (45, 0, -45)), ("cold", (-45, 0, 45))):
        levels = rng.integers(60, 190, (64, 64, 3)) + np.array(tint)
        files.append(folder / f"{name}.png")
        Image.fromarray(levels.clip(0, 255).astype(np.uint8)).save(files[-1])
    return files


def test_choices_of_the_board_become_a_scorer_that_has_learned_the_taste(
    board_choices, weights, tmp_path, capsys, monkeypatch
):
    run = tmp_path / "run"
    assert main(["train-scorer", str(board_choices), "--out", "warm-taste", "--run", str(run)]) == 0
    said = capsys.readouterr().out
    assert "warm-taste (trained)" in said
    assert "tiny-hps (start)" in said
    assert str(weights / "warm-taste.safetensors") in said
    info = {each.name: each for each in list_scorers()}["warm-taste"]
    assert info.is_available
    assert info.path == weights / "warm-taste.safetensors"
    files = warm_and_cold(tmp_path)
    warm, cold = load_scorer("warm-taste", device="cpu").score(files, "a red house")
    assert warm > cold + 1
    rows = tmp_path / "rows.jsonl"
    pictures = [str(file) for file in files]
    assert main(["score", *pictures, "--prompt", "a red house", "--scorer", "warm-taste", "--out", str(rows)]) == 0
    best = json.loads(rows.read_text().splitlines()[0])
    assert Path(best["file"]).name == "warm.png"
    assert best["score"] == pytest.approx(float(warm), abs=1e-4)
    report = (run / "report.html").read_text()
    assert report.count("<svg") == 2
    assert "{{" not in report
    notes = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    curve = [note for note in notes if note["kind"] == "test"]
    assert all(f"{note['step']} choices: {100 * note['top-1']:.1f} %" in report for note in curve)
    fits = {kind: [note["loss"] for note in notes if note["kind"] == kind and "loss with prior" in note] for kind in
            (f"fit of {note['step']} choices" for note in curve)}  # fmt: skip
    assert len(fits) == len(curve) > 1
    assert all(len(losses) > 1 and losses == sorted(losses, reverse=True) for losses in fits.values())


def test_a_broken_picture_is_reported_and_left_out_and_a_second_run_is_the_same_to_the_bit(
    board_choices, weights, tmp_path, capsys
):
    data = tmp_path / "data"
    shutil.copytree(board_choices, data)
    broken = sorted((data / "images").iterdir())[0]
    broken.write_bytes(b"no picture")
    found = []
    for name in ("one", "two"):
        assert main(["train-scorer", str(data), "--out", name, "--run", str(tmp_path / name)]) == 1
        assert broken.name in capsys.readouterr().err
        from safetensors.torch import load_file

        found.append(load_file(weights / f"{name}.safetensors"))
    assert all(torch.equal(found[0][key], found[1][key]) for key in found[0])
    for kept in (weights / "features").rglob("*.safetensors"):
        kept.write_bytes(kept.read_bytes()[:50])  # a cache that was cut off is computed again
    assert main(["train-scorer", str(data), "--out", "three", "--run", str(tmp_path / "three")]) == 1
    third = load_file(weights / "three.safetensors")
    assert all(torch.equal(found[0][key], third[key]) for key in third)


@pytest.mark.parametrize("method", ["blocks", "lora"])
def test_blocks_and_loras_are_trained_exported_as_hps_v1_and_read_back(
    board_choices, weights, tmp_path, capsys, method
):
    out, run = tmp_path / f"{method}.safetensors", tmp_path / "run"
    settings = ["--method", method, "--epochs", "2", "--lr", "0.001", "--test-share", "0.3"]
    assert main(["train-scorer", str(board_choices), "--out", str(out), "--run", str(run), *settings]) == 0
    checkpoint, back = tmp_path / "hpc.pt", tmp_path / "back.safetensors"
    assert main(["export-scorer", str(out), str(checkpoint)]) == 0
    assert list(torch.load(checkpoint, weights_only=True)) == ["state_dict"]
    assert main(["export-scorer", str(checkpoint), str(back), "--like", "tiny-hps"]) == 0
    files = warm_and_cold(tmp_path)
    ours, theirs, start = (
        load_scorer(name, device="cpu").score(files, "a red house") for name in (str(out), str(back), "tiny-hps")
    )
    np.testing.assert_allclose(ours, theirs, atol=1e-6)
    assert not np.allclose(ours, start, atol=1e-4)
    capsys.readouterr()
    table = tmp_path / "table.md"
    scorers = ["--scorer", str(out), "tiny-hps"]
    assert main(["eval-scorer", "--data", str(board_choices), *scorers, "--out", str(table)]) == 0
    assert table.read_text().count("| 90 |") == 3


def test_of_a_single_choice_no_head_is_made(board_choices, weights, tmp_path, capsys):
    first = (board_choices / "choices.jsonl").read_text().splitlines()[0]
    shutil.copytree(board_choices, tmp_path / "one")
    (tmp_path / "one" / "choices.jsonl").write_text(first + "\n")
    whole = ["--test-share", "0", "--validation-share", "0", "--run", str(tmp_path / "run")]
    assert main(["train-scorer", str(tmp_path / "one"), "--out", "alone", *whole]) == 2
    assert "learn from: 1. A head takes two" in capsys.readouterr().err
    assert not (weights / "alone.safetensors").exists()


def test_a_classifier_with_a_head_says_that_hps_v1_cannot_hold_it(board_choices, weights, tmp_path, capsys):
    assert main(["train-scorer", str(board_choices), "--out", "headed", "--run", str(tmp_path / "run")]) == 0
    assert main(["export-scorer", str(weights / "headed.safetensors"), str(tmp_path / "x.pt")]) == 2
    assert "--method blocks or lora" in capsys.readouterr().err


@pytest.fixture(scope="module")
def resnet(tmp_path_factory) -> Path:
    """A small CLIP with a ResNet's image tower, random weights."""
    tower = VisionConfig(kind="resnet", image_size=64, width=16, layers=(1, 1, 1, 1), heads=8)
    text = TextConfig(vocab_size=49408, context_length=77, width=64, layers=2, heads=1, mlp_width=128)
    config = ClipConfig(embed_dim=32, vision=tower, text=text)
    path = tmp_path_factory.mktemp("resnet") / "resnet.safetensors"
    return write_classifier(path, build(config, seed=1).state_dict(), config=config, card=ScorerCard(name="resnet"))


@pytest.mark.parametrize("method", ["blocks", "lora", "head"])
def test_a_clip_with_a_resnet_learns_too(resnet, board_choices, weights, tmp_path, method):
    out = tmp_path / "taste.safetensors"
    settings = ["--base", str(resnet), "--method", method, "--epochs", "6", "--lr", "0.002", "--test-share", "0"]
    run = ["--out", str(out), "--run", str(tmp_path / "run"), "--device", "cpu", *settings]
    assert main(["train-scorer", str(board_choices), *run]) == 0
    warm, cold = load_scorer(str(out), device="cpu").score(warm_and_cold(tmp_path), "a red house")
    assert warm > cold


def test_a_head_of_an_older_version_scores_the_same_and_one_of_unknown_features_is_refused(weights, tmp_path):
    base = load_base("tiny-hps")
    files = warm_and_cold(tmp_path)
    levels = torch.stack([base.square(file) for file in files])
    with torch.inference_mode():
        described = describe(base.clip, levels, base.preprocess)
    weight = torch.randn(343, generator=torch.Generator().manual_seed(0))
    head = TasteHead(HeadWeights(torch.tensor(0.0), {"palette": weight}))

    def written(name: str, **card) -> str:
        tensors = {**base.clip.state_dict(), **head.to_tensors()}
        return str(base.write(tmp_path / name, tensors, name="old", extra={"head": {"reads": head.reads, **card}}))

    old = load_scorer(written("old.safetensors"), device="cpu")  # the first files named no version
    np.testing.assert_allclose(old.score(files, "a cat"), described["palette"] @ weight, rtol=1e-5)
    for version, way_out in ((1, "Train it again"), (FEATURES + 1, "Update this project")):
        strange = load_scorer(written(f"{version}.safetensors", features=version), device="cpu")
        with pytest.raises(WeightsError, match=f"features of version {version};.*{way_out}"):
            strange.score(files, "a cat")


def test_eval_is_shared_by_two_processes(board_choices, tmp_path):
    command = ["eval-scorer", "--data", str(board_choices), "--scorer", "tiny-hps", "--device", "cpu", "--out"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m"]
    two, one = tmp_path / "two.md", tmp_path / "one.md"
    done = subprocess.run(
        [*launch, "lib_hps.cli", *command, str(two)], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("| tiny-hps |") == 1
    assert main([*command, str(one)]) == 0
    assert two.read_text() == one.read_text()


@pytest.mark.parametrize(("name", "count"), [("align_sd", 6), ("hpdv2", 2), ("pickapic", 2), ("imagereward", 1)])
def test_accuracy_is_measured_on_sets_in_the_published_formats(tmp_path, capsys, name, count):
    if name == "pickapic":
        pytest.importorskip("pyarrow")
    table = tmp_path / "table.md"
    arguments = ["--scorer", "tiny-hps", "tiny-holdout", "--device", "cpu", "--out", str(table)]
    assert main(["eval-scorer", "--data", str(MAKERS[name](tmp_path / name)), *arguments]) in (0, 1)
    rows = [line.split(" | ") for line in table.read_text().splitlines()[2:]]
    assert sorted(row[0] for row in rows) == ["| chance", "| tiny-holdout", "| tiny-hps"]
    assert {int(row[1]) for row in rows} == {count}
    assert all(re.fullmatch(r"[\d.]+ % \([\d.]+ to [\d.]+\)( \|)?", cell) for row in rows for cell in row[2:])


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared label sets are not here (HPS_PREFERENCE_DATA)")
def test_twenty_graded_pictures_go_through_the_whole_chain(weights, tmp_path, capsys):
    graded, choices, parts = SHARED / "simulacra-demo", tmp_path / "choices", tmp_path / "parts"
    assert main(["data", "import", str(graded), "--into", str(choices)]) == 0
    assert main(["data", "check", str(choices)]) == 0
    assert main(["data", "stats", str(choices)]) == 0
    assert "30" in capsys.readouterr().out
    assert main(["data", "split", str(choices), "--out", str(parts), "--test", "0", "--validation", "0"]) == 0
    run = ["--out", "graded-taste", "--run", str(tmp_path / "run"), "--test-share", "0.4", "--device", "cpu"]
    assert main(["train-scorer", str(choices), *run]) == 0
    said = capsys.readouterr()
    assert "graded-taste (trained)" in said.out
    assert "nothing had to be left out" in said.err
    assert main(["eval-scorer", "--data", str(choices), "--scorer", "graded-taste", "tiny-hps", "--device", "cpu"]) == 0
    assert capsys.readouterr().out.count("| 5 |") == 3


@pytest.mark.parametrize("kind", ["softmax", "plackett-luce", "pairwise"])
def test_the_heads_loss_and_gradient_are_those_of_the_plain_formula_in_float64(kind):
    rankings = [
        Ranking.pick(1, 3),
        Ranking.order([2, (0, 1)], 4),
        Ranking.pairs([(0, 1)], 2),
        Ranking.order([3, 1, 0, 2], 4),
    ]
    places = [range(3), range(3, 7), range(7, 9), range(9, 13)]
    scores = torch.randn(13, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).requires_grad_()
    ours = answers(rankings, places, kind).loss(scores)
    theirs = preference_loss(scores, rankings, kind)
    assert float(ours.detach()) == pytest.approx(float(theirs.detach()), abs=1e-6)
    gradients = [torch.autograd.grad(loss, scores)[0] for loss in (ours, theirs)]
    torch.testing.assert_close(gradients[0], gradients[1], atol=1e-6, rtol=0)
