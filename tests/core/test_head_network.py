"""Small networks that learn filters from choices: unbiased opinions, one head file, nothing of few choices."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("accelerate")

from lib_hps.ranking import Ranking  # noqa: E402
from lib_hps.scoring.clip.head import HeadWeights, TasteHead  # noqa: E402
from lib_hps.scoring.clip.head_features import THUMBNAIL  # noqa: E402
from lib_hps.scoring.clip.small_network import SIDE, fresh, see, see_together, thumbnails  # noqa: E402
from lib_hps.training import head_network  # noqa: E402
from lib_hps.training.head_answers import Answers, answers  # noqa: E402
from lib_hps.training.head_network import FEWEST, learn_networks, opinions_of_others  # noqa: E402

CPU = torch.device("cpu")
CHOICES = 120


def ignore(_: dict[str, float]) -> None:
    pass


def hatched(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Thumbnails (N, 12288) of fine hatching, up or down in any two colours, and whether it goes up."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:SIDE, :SIDE]
    is_up = np.arange(count) % 2 == 0
    pictures = []
    for up in is_up:
        ground, ink = rng.random((2, 3, 1, 1))
        lines = (y + x if up else 2 * y - x) % 6 < 2
        pictures.append(np.where(lines, ink, ground))
    return torch.tensor(np.stack(pictures)).flatten(1).half(), torch.tensor(is_up)


def liked(is_up: torch.Tensor) -> tuple[Answers, torch.Tensor]:
    """Of each pair the one that goes up is chosen, and its fold."""
    rankings = [Ranking.pick(0 if is_up[2 * pair] else 1, 2) for pair in range(CHOICES)]
    known = answers(rankings, [[2 * pair, 2 * pair + 1] for pair in range(CHOICES)], "softmax")
    return known, torch.arange(CHOICES) % 3


def test_what_others_think_of_a_fold_has_no_part_of_its_answers():
    pictures, is_up = hatched(2 * CHOICES)
    known, folds = liked(is_up)
    found = opinions_of_others(pictures, known, folds, CPU, ignore)
    assert found is not None
    right = ((found[:, 0] > found[:, 1]) == is_up[::2]).float().mean()
    assert right > 0.9
    known.target[folds == 0] = known.target[folds == 0].flip(1)  # one choice is one row here
    lied = opinions_of_others(pictures, known, folds, CPU, ignore)
    is_first = folds == 0
    assert torch.equal(lied[is_first], found[is_first])
    assert not torch.equal(lied[~is_first], found[~is_first])


def test_networks_learn_from_all_choices_and_tell_new_pictures_apart(monkeypatch):
    monkeypatch.setattr(head_network, "_NETWORKS", 2)
    pictures, is_up = hatched(2 * CHOICES)
    known, _ = liked(is_up)
    networks = learn_networks(pictures, known, CPU, ignore)
    new, up = hatched(2 * CHOICES + 40)
    assert np.corrcoef(see_together(networks, new[-40:]), up[-40:])[0, 1] > 0.8
    for number in range(len(networks["out"])):
        one = {name: each[number] for name, each in networks.items()}
        assert float(see(one, pictures).std()) == pytest.approx(1, rel=1e-3)
    assert not torch.equal(networks["out"][0], networks["out"][1])
    known.target[-1] = known.target[-1].flip(0)  # any choice counts
    monkeypatch.setattr(head_network, "_NETWORKS", 1)
    assert not torch.equal(learn_networks(pictures, known, CPU, ignore)["out"][0], networks["out"][0])


def test_of_few_choices_or_a_single_fold_nobody_else_thinks_anything():
    pictures, is_up = hatched(2 * CHOICES)
    known, folds = liked(is_up)
    few = torch.arange(CHOICES) < FEWEST - 1
    assert opinions_of_others(pictures, known.of(few), folds[few], CPU, ignore) is None
    assert opinions_of_others(pictures, known, torch.zeros(CHOICES, dtype=torch.long), CPU, ignore) is None


def test_together_they_say_their_mean_and_a_heads_file_keeps_them():
    each = [fresh(torch.Generator().manual_seed(seed)) for seed in (1, 2, 3)]
    stacked = {name: torch.stack([network[name] for network in each]) for name in each[0]}
    pictures, _ = hatched(8)
    mean = torch.stack([see(network, pictures) for network in each]).mean(dim=0)
    torch.testing.assert_close(see_together(stacked, pictures), mean)
    head = TasteHead(HeadWeights(torch.tensor(0.0), network=(torch.tensor(2.0), stacked)))
    again = TasteHead.from_tensors(head.reads, head.to_tensors())
    described = {THUMBNAIL: pictures, "embedding": torch.zeros(8, 4)}
    for one in (head, again):
        torch.testing.assert_close(one(described, torch.zeros(8, 4), torch.tensor(1.0)), 2 * mean)


def test_a_thumbnail_is_the_mean_of_its_pixels():
    small = torch.rand(2, 3, SIDE, SIDE)
    assert torch.equal(thumbnails(small), small.flatten(1))
    large = small.repeat_interleave(3, dim=2).repeat_interleave(3, dim=3)
    torch.testing.assert_close(thumbnails(large), small.flatten(1))
    assert thumbnails(torch.rand(1, 3, 224, 224)).shape == (1, 3 * SIDE * SIDE)
