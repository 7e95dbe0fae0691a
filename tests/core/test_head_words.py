"""What frequent words look like, how likely the own prompt is, and the head that both become part of."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")
pytest.importorskip("accelerate")

from head_table import make_table, tags_in  # noqa: E402

from lib_hps.ranking import Ranking  # noqa: E402
from lib_hps.scoring import load_scorer  # noqa: E402
from lib_hps.scoring.clip.head import TasteHead, naming  # noqa: E402
from lib_hps.training.head_answers import answers  # noqa: E402
from lib_hps.training.head_basis import make_blocks  # noqa: E402
from lib_hps.training.head_blocks import Table, head_of  # noqa: E402
from lib_hps.training.head_directions import leading_directions  # noqa: E402
from lib_hps.training.head_words import find_words, learn_looks, word_blocks  # noqa: E402
from lib_hps.training.scorer_config import ScorerConfig  # noqa: E402
from lib_hps.training.scorer_training import train_scorer  # noqa: E402

# fmt: off
NAMES = [
    "cat", "dog", "fox", "panda", "tiger", "lion", "horse", "cow", "pig", "frog", "bird", "duck", "owl", "fish",
    "whale", "snake", "bee", "ant", "apple", "pear", "banana", "cherry", "lemon", "melon", "grape", "carrot", "corn",
    "bread", "cheese", "pizza", "cake", "cookie", "sun", "moon", "star", "cloud", "rain", "snow", "fire", "wave",
    "tree", "flower", "leaf", "cactus", "house", "car", "bus", "train", "ship", "rocket", "bell", "gift", "book",
    "key", "lamp", "clock", "drum", "guitar", "ball", "kite", "crown", "ring", "shoe", "hat", "glove", "sock",
]
# fmt: on


@pytest.fixture
def table() -> Table:
    return make_table()


def folds() -> torch.Tensor:
    return torch.arange(40).repeat_interleave(5) % 3


def test_words_are_those_that_come_back_but_do_not_stand_everywhere(table):
    words = find_words(table.prompts, table.texts)
    assert words is not None
    assert set(words.names) == {"red", "blue"}  # "kind" is in all, a thing in one
    heard = words.heard(table.texts)[:, words.names.index("red")]
    assert np.corrcoef(heard, [("red" in prompt) for prompt in table.prompts])[0, 1] > 0.9
    assert find_words(["a cat", "a dog"] * 10, table.texts[:20]) is None


def test_how_a_word_looks_is_learned_from_other_prompts_for_the_training_itself(table):
    words = find_words(table.prompts, table.texts)
    directions = {name: leading_directions(x, 4, as_they_are=True) for name, x in table.described.items()}
    looks = learn_looks(words, directions, table.described, torch.ones(200), folds())
    style, column = looks["style"], words.names.index("red")
    x = torch.cat([table.described[group] for group in style.groups], dim=1)
    is_red = words.said[:, column]
    for seen in (style.seen(x), style.unbiased):
        assert np.corrcoef(seen[:, column], is_red)[0, 1] > 0.8
    strange = words.said.clone()
    strange[folds() == 0] = 1 - strange[folds() == 0]
    lied = type(words)(words.names, strange, words.heard)
    again = learn_looks(lied, directions, table.described, torch.ones(200), folds())["style"]
    torch.testing.assert_close(again.unbiased[folds() == 0], style.unbiased[folds() == 0])
    assert not torch.allclose(again.seen(x), style.seen(x), atol=0.05)


def test_a_head_scores_what_its_columns_say_up_to_a_constant(table):
    blocks = make_blocks(table, torch.ones(200), folds())
    words = find_words(table.prompts, table.texts)
    directions = {name: leading_directions(x, 16) for name, x in table.described.items()}
    looks = learn_looks(words, directions, table.described, torch.ones(200), folds())
    generator = torch.Generator().manual_seed(1)
    weights = {name: torch.randn(block.columns.shape[1], generator=generator) for name, block in blocks.items()}
    fixed = {name: weights[name] for name, block in blocks.items() if block.family != "words"}
    wanted = 0.5 * table.cosine + sum(blocks[name].columns @ each for name, each in fixed.items())
    kept = [fixed.get(name, torch.zeros(block.columns.shape[1])) for name, block in blocks.items()]
    found = TasteHead(head_of(blocks, torch.tensor(0.5), kept))(
        table.described, table.texts, table.scale, tags_in(table)
    )
    assert float((found - wanted).std()) < 1e-3
    # of the words' blocks the columns are unbiased, so they are compared by what the look sees
    mine = word_blocks(words, table, directions, torch.ones(200), folds())
    said = words.heard(table.texts) * len(words.names) ** 0.5
    wanted, zeros = torch.zeros(200), []
    for name, block in mine.items():
        look = looks[name.rsplit(" ", 2)[0]]
        seen = look.seen(torch.cat([table.described[group] for group in look.groups], dim=1))
        weight = torch.randn(block.columns.shape[1], generator=generator)
        wanted = wanted + (seen if name.endswith("by word") else seen * said) @ weight
        zeros.append(weight)
    found = TasteHead(head_of(mine, torch.tensor(0.0), zeros))(table.described, table.texts, table.scale)
    assert float((found - wanted).std()) < 1e-3
    assert float(wanted.std()) > 1


def test_naming_is_the_log_probability_of_the_own_prompt_and_survives_the_file(table):
    bank = table.texts[::5]
    logits = table.scale * table.described["embedding"] @ bank.T
    own = torch.arange(200) // 5
    wanted = logits.log_softmax(dim=1)[torch.arange(200), own]
    torch.testing.assert_close(naming(table.cosine, table.scale, table.described["embedding"], bank), wanted)
    head = TasteHead(head_of({}, torch.tensor(1.0), []))
    assert "hps_head.bank" not in head.to_tensors()
    blocks = make_blocks(table, torch.ones(200), folds())
    weights = [torch.full((b.columns.shape[1],), float(name == "naming")) for name, b in blocks.items()]
    head = TasteHead(head_of(blocks, torch.tensor(0.0), weights))
    again = TasteHead.from_tensors(head.reads, head.to_tensors())
    scores = [each(table.described, table.texts, table.scale) for each in (head, again)]
    assert torch.equal(*scores)
    assert np.corrcoef(scores[0], wanted)[0, 1] > 0.999


def test_wins_and_folds_are_those_of_the_answers():
    known = answers([Ranking.pick(1, 3), Ranking.order([2, (0, 1)], 3)], [[0, 1, 2], [2, 3, 4]], "plackett-luce")
    assert known.wins(6).tolist() == [0, 1, 0, 0, 1, 0]
    assert known.folds(torch.tensor([2, 1]), 6).tolist()[:2] == [2, 2]
    assert known.folds(torch.tensor([2, 1]), 6).tolist()[3:5] == [1, 1]


def test_a_rater_who_wants_what_is_asked_for_is_understood_on_new_things(tmp_path):
    """Every picture is striped or dotted, in any colours; the prompt asks for one, and that one is chosen."""
    rng, chance = np.random.default_rng(0), random.Random(0)

    def picture(kind: str, name: str) -> Path:
        ground, ink = rng.integers(0, 256, (2, 3))
        y, x = np.mgrid[:64, :64]
        mask = (x + y) % 12 < 6 if kind == "striped" else (x % 10 - 5) ** 2 + (y % 10 - 5) ** 2 < 9
        Image.fromarray(np.where(mask[..., None], ink, ground).astype(np.uint8)).save(tmp_path / f"{name}.png")
        return tmp_path / f"{name}.png"

    rows = []
    for number in range(100):
        asked, other = chance.sample(["striped", "dotted"], 2)
        kinds = [asked, other, other]
        chance.shuffle(kinds)
        files = [picture(kind, f"{number}-{place}").name for place, kind in enumerate(kinds)]
        edges = Ranking.pick(kinds.index(asked), 3).edges
        rows.append(
            {"id": number, "prompt": f"{NAMES[number % 50]}, {asked} pattern", "file_path": files, "edges": edges}
        )
    (tmp_path / "choices.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = ScorerConfig(method="head", validation_share=0.0, test_share=0.0, device="cpu", images=tmp_path)
    out = tmp_path / "taste.safetensors"
    train_scorer(tmp_path / "choices.jsonl", out, tmp_path / "run", config)
    scorer, right = load_scorer(str(out), device="cpu"), 0
    files = {kind: [picture(kind, f"new-{kind}-{n}") for n in range(20)] for kind in ("striped", "dotted")}
    for n in range(20):
        for asked, other in (("striped", "dotted"), ("dotted", "striped")):
            good, bad = scorer.score([files[asked][n], files[other][n]], f"{NAMES[50 + n % 15]}, {asked} pattern")
            right += good > bad
    assert right >= 36  # of 40
