"""Rounds over HTTP: asked, drawn, shown, answered, taken back."""

from __future__ import annotations

import itertools

import pytest
from board_client import infotext


@pytest.mark.parametrize(
    ("prompt", "name"), [("a\n cat\x07", "a cat"), ("\u2028\x01", "session"), ("x" * 500, "x" * 80)]
)
def test_a_session_without_a_name_is_called_after_its_prompt(board, prompt, name):
    assert board.begin(settings={"prompt": prompt})["name"] == name


def test_a_round_is_asked_drawn_shown_answered_and_the_next_one_asked(board):
    state = board.begin()
    id = state["id"]
    assert (state["status"], state["round"], state["name"], state["best"]) == ("new", 1, "a cat", None)
    state = board.draw(id)
    assert state["status"] == "ready"
    assert [candidate["number"] for candidate in state["candidates"]] == [1, 2, 3, 4]
    third = state["candidates"][2]
    assert infotext(board, third["picture"])["HPS noise"] == third["recipe"]
    thumb = board.client.get(third["thumb"])
    assert thumb.headers["content-type"] == "image/jpeg"
    assert "immutable" in thumb.headers["cache-control"]
    after = board.post(f"/sessions/{id}/tell", {"round": 1, "order": [[3], [1, 2]]})
    assert (after["round"], after["status"]) == (2, "new")
    assert after["best"] == {
        **{name: third[name] for name in ("picture", "thumb", "recipe")},
        "round": 1,
        "score": None,
        "is_current": True,
    }
    assert after["history"][0]["order"] == [[3], [1, 2]]
    assert after["history"][0]["by"] == "person"
    incumbents = [candidate for candidate in after["candidates"] if candidate["is_incumbent"]]
    assert [candidate["picture"] for candidate in incumbents] == [third["picture"]]
    drawn = len(board.host.draws)
    board.draw(id)
    assert len(board.host.draws) == drawn + 3  # the incumbent's picture was there


def test_the_answer_lands_on_the_candidates_that_were_clicked_whatever_the_shuffle(board):
    """A person who always prefers the nearest to a hidden picture gets nearer and nearer."""
    shuffles = set()
    for seed in range(3):
        id = board.begin(seed=seed, optimizer="random", batch=5)["id"]
        values = []
        for round in range(1, 7):
            state = board.draw(id)
            files = [board.service.picture(id, c["picture"].rsplit("/", 1)[1]) for c in state["candidates"]]
            scores = board.host.score("near", files, "")
            asked = board.service.store.open(id).state().asked
            shuffles.add(asked.shown)
            for candidate, index in zip(state["candidates"], asked.shown, strict=True):
                assert candidate["recipe"] == asked.candidates[index].recipe.format()
            order = sorted(range(1, 6), key=lambda number: -scores[number - 1])
            state = board.post(f"/sessions/{id}/tell", {"round": round, "order": [[number] for number in order]})
            assert state["best"]["recipe"] == board.service.store.open(id).state().answers[-1].best
            values.append(max(scores))
            ranking = board.service.store.open(id).state().answers[-1].ranking
            for better, worse in itertools.pairwise(order):
                assert (asked.shown[better - 1], asked.shown[worse - 1]) in ranking.edges
        assert values == sorted(values)
        assert values[-1] > values[0]
    assert len(shuffles) > 10


def test_pictures_are_drawn_in_the_order_in_which_they_are_shown_and_names_tell_nothing(board):
    id = board.begin(batch=8)["id"]
    state = board.draw(id)
    assert board.host.draws == [candidate["recipe"] for candidate in state["candidates"]]
    names = [candidate["picture"].rsplit("/", 1)[1] for candidate in state["candidates"]]
    assert all(len(name) == 24 for name in names)
    assert len(set(names)) == 8


def test_all_candidates_of_a_session_share_their_in_loop_noise(board):
    id = board.begin(seed=123)["id"]
    board.play(id)
    board.draw(id)
    assert set(board.host.seeds) == {123}


@pytest.mark.parametrize(
    ("body", "edges"),
    [
        ({"order": [[2], [1, 3]]}, {(2, 1), (2, 3), (2, 4), (1, 4), (3, 4)}),
        ({"order": [2]}, {(2, 1), (2, 3), (2, 4)}),
        ({"order": [[1, 2, 3, 4]]}, set()),
        ({"pairs": [[3, 1], [2, 4]]}, {(3, 1), (2, 4)}),
        ({"pairs": [[1, 2], [2, 3], [3, 1]]}, set()),
        ({"none_better": True}, set()),
    ],
)
def test_every_form_of_answer_becomes_its_edges(board, body, edges):
    id = board.begin()["id"]
    board.draw(id)
    board.post(f"/sessions/{id}/tell", {"round": 1, **body})
    answer = board.service.store.open(id).state().answers[0]
    number = {index: place for place, index in enumerate(answer.asked.shown, 1)}
    assert {(number[a], number[b]) for a, b in answer.ranking.edges} == edges


def test_none_better_keeps_the_incumbent_above_all_others(board):
    id = board.begin()["id"]
    best = board.play(id, [[2]])["best"]["recipe"]
    board.draw(id)
    state = board.post(f"/sessions/{id}/tell", {"round": 2, "none_better": True})
    assert state["best"]["recipe"] == best
    assert state["best"]["round"] == 1
    answer = board.service.store.open(id).state().answers[1]
    assert len(answer.ranking.edges) == 3
    assert state["history"][1]["order"] == []


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "round is None"),
        ({"round": 1}, 'one of "order"'),
        ({"round": 1, "order": []}, "order is empty"),
        ({"round": 1, "order": [[5]]}, "5 is no candidate; they are numbered 1 to 4"),
        ({"round": 1, "order": [[0]]}, "0 is no candidate"),
        ({"round": 1, "order": [["1"]]}, "'1' is no candidate"),
        ({"round": 1, "order": [[1], [1]]}, "ranked twice"),
        ({"round": 1, "order": [[1]], "none_better": True}, 'one of "order"'),
        ({"round": 1, "pairs": [[1]]}, "is no pair"),
        ({"round": 1, "pairs": [[1, 1]]}, "better than itself"),
        ({"round": "one", "order": [[1]]}, "round is 'one'"),
    ],
)
def test_an_answer_that_cannot_be_is_refused_in_a_sentence_and_changes_nothing(board, body, said):
    id = board.begin()["id"]
    version = board.draw(id)["version"]
    assert said in board.post(f"/sessions/{id}/tell", body, 400)["detail"]
    assert board.get(f"/sessions/{id}")["version"] == version
