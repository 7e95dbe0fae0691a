"""A small CLIP learns a simulated taste from choices, with and without the cache of frozen features."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("accelerate")

import numpy as np  # noqa: E402
from clip_layouts import CONFIG  # noqa: E402
from PIL import Image  # noqa: E402

from lib_hps.errors import InputError  # noqa: E402
from lib_hps.ranking import Ranking  # noqa: E402
from lib_hps.scoring.clip.model import build  # noqa: E402
from lib_hps.training.choice_model import ChoiceModel  # noqa: E402
from lib_hps.training.choice_task import (  # noqa: E402
    ChoiceInputs,
    ChoiceTask,
    TrainingChoice,
    pairwise_accuracy,
    top_1_accuracy,
)
from lib_hps.training.engine import train  # noqa: E402
from lib_hps.training.engine_config import EngineConfig  # noqa: E402
from lib_hps.training.feature_cache import FeatureCache  # noqa: E402

WORDS = ["a", "cat", "dog", "house"]


def pixels(path: Path) -> torch.Tensor:
    try:
        array = np.asarray(Image.open(path).convert("RGB"), dtype=np.float32)
    except OSError as error:
        raise InputError(f"{path.name} is no picture") from error
    return torch.from_numpy(array).permute(2, 0, 1) / 127.5 - 1


def tokens(prompt: str) -> torch.Tensor:
    return torch.tensor([1 + WORDS.index(word) for word in prompt.split()] + [519])


@pytest.fixture(scope="module")
def choices(tmp_path_factory) -> list[TrainingChoice]:
    """Choices of three pictures; the rater likes warm ones."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    found = []
    for number in range(80):
        warmth = rng.permutation([-60, 0, 60])
        paths = []
        for place, warm in enumerate(warmth):
            array = rng.integers(70, 180, (16, 16, 3)) + np.array([warm, 0, -warm])
            paths.append(folder / f"{number}-{place}.png")
            Image.fromarray(array.clip(0, 255).astype(np.uint8)).save(paths[-1])
        prompt = " ".join(WORDS[: 1 + number % 4])
        found.append(TrainingChoice(prompt, tuple(paths), Ranking.from_scores(warmth.tolist())))
    return found


def task_of(choices, cache, *, image_blocks=1, text_blocks=1, loss="plackett-luce") -> ChoiceTask:
    model = ChoiceModel(build(CONFIG, seed=3), image_blocks=image_blocks, text_blocks=text_blocks)
    inputs = ChoiceInputs(model, pixels, tokens, cache)
    return ChoiceTask(model, inputs, choices[:64], choices[64:], loss=loss)


SETTINGS = EngineConfig(steps=60, batch=16, lr=2e-3, warmup=5, schedule="cosine", eval_every=20)


@pytest.mark.parametrize("loss", ["softmax", "plackett-luce", "pairwise"])
def test_a_taste_is_learned_from_choices_and_holds_on_others(tmp_path, choices, loss):
    task = task_of(choices, FeatureCache(tmp_path / "cache", "toy"), loss=loss)
    before = task.evaluate()
    result = train(task, SETTINGS, tmp_path / "run")
    after = task.evaluate()
    assert before["top-1"] < 0.8
    assert after["top-1"] > 0.9
    if loss != "softmax":  # which looks at the winner alone
        assert before["pairwise"] < 0.85
        assert after["pairwise"] > 0.95
    assert [each["step"] for each in result.history] == [20, 40, 60]


def test_the_cache_changes_the_weights_by_no_more_than_its_precision(tmp_path, choices):
    found = []
    for cache in (None, FeatureCache(tmp_path / "cache", "toy")):
        task = task_of(choices, cache)
        train(task, EngineConfig(steps=3, batch=16, lr=1e-4), tmp_path / str(len(found)))
        found.append(torch.cat([p.detach().flatten() for p in task.model.parameters()]))
    torch.testing.assert_close(found[1], found[0], atol=3e-4, rtol=0)


def test_everything_can_be_trained_where_nothing_is_frozen(tmp_path, choices):
    task = task_of(choices, None, image_blocks=2, text_blocks=2)
    train(task, EngineConfig(steps=2, batch=8, lr=1e-3), tmp_path)


def test_filling_computes_each_picture_once_and_reports_bad_ones(tmp_path, choices):
    seen = []

    def counted(path: Path) -> torch.Tensor:
        seen.append(path)
        return pixels(path)

    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no picture")
    model = ChoiceModel(build(CONFIG, seed=3), image_blocks=1, text_blocks=1)
    inputs = ChoiceInputs(model, counted, tokens, FeatureCache(tmp_path / "cache", "toy"))
    paths = [path for choice in choices[:20] for path in choice.images]
    assert inputs.fill([*paths, bad, tmp_path / "missing.png"]).keys() == {bad, tmp_path / "missing.png"}
    assert sorted(seen) == sorted([*paths, bad])
    seen.clear()
    assert inputs.fill(paths) == {}
    inputs.image(paths[0])
    assert seen == []


def test_accuracies_count_edges_ties_and_best_candidates():
    rankings = [Ranking.order([0, 1, 2], 3), Ranking.pick(1, 2)]
    scores = torch.tensor([3.0, 1.0, 1.0, 0.0, 5.0])
    assert pairwise_accuracy(scores, rankings) == pytest.approx((1 + 1 + 0.5 + 1) / 4)
    assert top_1_accuracy(scores, rankings) == 1.0
    assert top_1_accuracy(-scores, rankings) == 0.0


def test_places_are_shuffled_and_the_ranking_follows(choices):
    task = task_of(choices, None)
    orders = set()
    for number in range(20):
        example = task.load(0, torch.Generator().manual_seed(number))
        first = task.load(0, torch.Generator().manual_seed(number)).ranking
        assert first == example.ranking
        orders.add(example.ranking)
        best = example.ranking.best()[0]
        wanted = task._inputs.image(choices[0].images[choices[0].ranking.best()[0]])
        assert torch.equal(example.images[best], wanted)
    assert len(orders) > 3
