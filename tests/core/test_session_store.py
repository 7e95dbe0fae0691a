"""The store of sessions: listed, renamed, thrown away; their pictures; and nothing heavy at import."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from board_host import SETTINGS
from session_steps import answer, create, draw

from lib_hps.errors import InputError, NotFoundError
from lib_hps.session import SessionStore, shuffled

ROOT = Path(__file__).parents[2]


@pytest.fixture
def store(tmp_path: Path) -> SessionStore:
    return SessionStore(tmp_path / "sessions")


def test_sessions_are_listed_newest_first_renamed_thrown_away_and_taken_back(store):
    first, second = create(store, name="one"), create(store, name="two")
    answer(first)
    first.rename(" eins ")
    listed = {line.id: line for line in store.listing()}
    assert (listed[first.id].name, listed[first.id].rounds) == ("eins", 1)
    assert listed[first.id].thumb == first.state().answers[0].picture.thumb
    assert listed[second.id].thumb is None
    updated = [line.updated for line in store.listing()]
    assert updated == sorted(updated, reverse=True)
    store.trash(first.id)
    assert [line.id for line in store.listing()] == [second.id]
    with pytest.raises(NotFoundError, match="trash"):
        store.open(first.id)
    with pytest.raises(NotFoundError):
        first.rename("too late")
    assert store.restore(first.id).state().to_dict()["name"] == "eins"
    with pytest.raises(NotFoundError):
        store.restore(first.id)
    with pytest.raises(InputError, match="cannot be a name"):
        second.rename("a\nb")


@pytest.mark.parametrize(
    "id", ["", "..", "../../etc", "20261124-030000-ABCDEF", "20261124-030000-abcdef/..", "trash", 5]
)
def test_an_id_that_is_none_opens_nothing(store, id):
    create(store)
    for act in (store.open, store.trash, store.restore):
        with pytest.raises(NotFoundError):
            act(id)


@pytest.mark.parametrize(
    "file", ["../log.jsonl", "log.jsonl", "pictures/x.png", "x.png", "/etc/passwd", "a" * 20 + ".png"]
)
def test_a_picture_that_is_none_is_not_served(store, file):
    session = create(store)
    with pytest.raises(NotFoundError, match="no picture"):
        session.picture(file)


def test_pictures_are_kept_with_their_infotext_and_a_small_thumbnail(store):
    from PIL import Image

    session = create(store)
    draw(session)
    drawn = next(iter(session.state().pictures.values()))
    with Image.open(session.picture(drawn.file)) as image:
        assert f"HPS noise: {drawn.recipe}" in image.info["parameters"]
    session.add_picture("9*1", "key", Image.new("RGB", (900, 300)), "text")
    big = session.state().pictures["key", "9*1"]
    with Image.open(session.picture(big.thumb)) as image:
        assert image.size == (256, 85)


def test_the_shuffle_depends_on_session_and_round_and_says_nothing_of_roles():
    orders = [tuple(shuffled(6, seed=7, session="s", round=round)) for round in range(1, 201)]
    assert orders[0] == tuple(shuffled(6, seed=7, session="s", round=1))
    assert len(set(orders)) > 150
    assert orders[0] != tuple(shuffled(6, seed=8, session="s", round=1))
    for place in range(6):  # the incumbent comes last in the optimiser's order, and anywhere on the screen
        share = sum(order[place] == 5 for order in orders) / len(orders)
        assert 0.08 < share < 0.27


def test_an_unknown_optimiser_or_batch_makes_no_session(store):
    for bad in ({"name": "magic"}, {"batch": 1}, {"seed": -1}, {"params": {"angle_rad": "wide"}}, {"params": {"x": 1}}):
        with pytest.raises(InputError):
            store.create(
                name="x",
                settings=SETTINGS,
                optimizer={"name": "random", "seed": 7, "batch": 4, "params": {}, **bad},
            )
    assert store.listing() == []


@pytest.mark.parametrize("module", ["lib_hps.session", "lib_hps.board.service", "lib_hps.preferences.choices"])
def test_sessions_and_the_board_load_nothing_heavy(module):
    code = f"import sys, {module}; print(*sorted(m for m in sys.modules if '.' not in m))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT)
    assert not {"torch", "gradio", "diffusers", "transformers", "fastapi"} & set(done.stdout.split())
