"""Scorers on the board: automatic runs, mixed rounds, the winner at full size."""

from __future__ import annotations

import time

import pytest
from board_client import V1
from board_host import Painter


def test_a_scorer_plays_the_rounds_and_the_held_out_one_raises_the_alarm(board):
    id = board.begin(optimizer="random", batch=4)["id"]
    state = board.post(f"/sessions/{id}/auto", {"rounds": 8, "scorer": "near", "holdout": "far"})
    assert (state["task"], state["status"]) == ("auto", "drawing")
    state = board.wait(id)
    assert state["error"] is None
    assert state["note"] == f"All 8 rounds are done, {len(board.host.draws)} pictures drawn."
    assert len(board.host.draws) == 4 + 7 * 3
    scores = [line["score"] for line in state["history"]]
    assert scores == sorted(scores)
    assert [line["holdout"] for line in state["history"]] == [-score for score in scores]
    gains = [line["gain"] for line in state["history"]]  # in deviations of the first round's pictures
    assert gains == sorted(gains)
    assert 0 < gains[0] < 2
    assert [line["holdout_gain"] for line in state["history"]] == [-gain for gain in gains]
    assert state["drawn"] == len(board.host.draws)
    assert {line["by"] for line in state["history"]} == {"near"}
    assert "far (held out) fell" in state["warning"]
    assert state["round"] == 9


def test_cmaes_whose_population_is_fixed_refuses_a_mixed_round_and_goes_on_by_hand(board):
    pytest.importorskip("cmaes")
    id = board.begin(optimizer="cmaes", batch=4)["id"]
    board.post(f"/sessions/{id}/mixed", {"draw": 9, "scorer": "near"})
    state = board.wait(id)
    assert "needs 4 candidates in every round, so it cannot have mixed rounds" in state["error"]
    board.post(f"/sessions/{id}/draw", {})
    state = board.wait(id)
    assert (state["status"], state["error"]) == ("ready", None)
    assert len(state["candidates"]) == 4


def test_without_a_word_of_it_another_scorer_watches_and_null_means_none(board):
    one, two = board.begin()["id"], board.begin()["id"]
    board.post(f"/sessions/{one}/auto", {"rounds": 1, "scorer": "near"})
    assert board.wait(one)["history"][0]["holdout_by"] == "far"
    board.post(f"/sessions/{two}/auto", {"rounds": 1, "scorer": "near", "holdout": None})
    assert board.wait(two)["history"][0]["holdout"] is None
    assert (
        "its own held-out" in board.post(f"/sessions/{two}/auto", {"scorer": "near", "holdout": "near"}, 400)["detail"]
    )


def test_a_run_stops_at_its_budget_of_pictures(board):
    id = board.begin(batch=4)["id"]
    board.post(f"/sessions/{id}/auto", {"rounds": 50, "scorer": "near", "images": 12})
    state = board.wait(id)
    assert len(board.host.draws) == 10  # 4 + 3 + 3; another 3 would be one too many
    assert "Stopped after 3 of 50 rounds" in state["note"]
    assert state["round"] == 4


def test_a_run_stops_on_a_plateau(board):
    id = board.begin(optimizer="best-of-n", batch=4)["id"]
    board.post(f"/sessions/{id}/auto", {"rounds": 200, "scorer": "near", "patience": 3})
    state = board.wait(id)
    scores = [line["score"] for line in state["history"]]
    assert 4 <= len(scores) < 200
    assert "no gain for 3 rounds" in state["note"]
    assert len(set(scores[-4:])) == 1
    stops_at = next(n for n in range(4, len(scores) + 1) if max(scores[n - 3 : n]) <= max(scores[: n - 3]))
    assert stops_at == len(scores)


def test_a_run_that_is_cancelled_keeps_the_best_so_far(board):
    id = board.begin()["id"]
    board.post(f"/sessions/{id}/auto", {"rounds": 1000, "scorer": "near"})
    while not board.get(f"/sessions/{id}")["history"]:
        time.sleep(0.01)
    board.post(f"/sessions/{id}/cancel")
    state = board.wait(id)
    assert state["error"] is None
    assert 0 < len(state["history"]) < 1000
    assert state["best"]["score"] == max(line["score"] for line in state["history"])
    assert board.draw(id)["status"] == "ready"


def test_a_scorer_of_real_pictures_is_not_watched_by_a_bundled_one():
    from lib_hps.board.auto import other_scorer
    from lib_hps.board.host import ScorerLine

    class Names(Painter):
        def scorers(self):
            return [
                ScorerLine(name, name != "pickscore") for name in ("tiny-hps", "tiny-holdout", "hps-v2.1", "pickscore")
            ]

    assert other_scorer(Names(), "tiny-hps") == "tiny-holdout"
    assert other_scorer(Names(), "hps-v2.1") is None
    assert other_scorer(Names(), "my-taste") == "hps-v2.1"
    assert other_scorer(Names(), "ensemble:hps-v2.1=1,tiny-hps=1") == "tiny-holdout"


def test_an_ensemble_gives_scores_that_can_be_compared_from_round_to_round(board):
    id = board.begin(optimizer="random")["id"]
    board.post(f"/sessions/{id}/auto", {"rounds": 6, "scorer": "ensemble:near=1,far=0.25", "holdout": None})
    state = board.wait(id)
    assert state["error"] is None
    scores = [line["score"] for line in state["history"]]
    assert scores == sorted(scores)
    assert scores[-1] > scores[0]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"scorer": "magic"}, "'magic' is not known"),
        ({"scorer": "missing"}, "'missing' is not available"),
        ({"scorer": "ensemble:near=1,magic=1"}, "'magic' is not known"),
        ({"scorer": "/etc/passwd"}, "is not known"),
    ],
)
def test_a_scorer_that_cannot_score_is_named(board, body, said):
    id = board.begin()["id"]
    board.post(f"/sessions/{id}/auto", {"rounds": 1, **body})
    assert said in board.wait(id)["error"]
    assert board.host.draws == []


def test_a_mixed_round_shows_the_scorers_best_and_ranks_the_rest_below(board):
    id = board.begin(batch=3, optimizer="random")["id"]
    incumbent = board.play(id, [[1]])["best"]["recipe"]
    board.post(f"/sessions/{id}/mixed", {"draw": 12, "scorer": "near"})
    state = board.wait(id)
    assert (state["status"], state["error"], len(state["candidates"])) == ("ready", None, 3)
    scores = {candidate["number"]: candidate["score"] for candidate in state["candidates"]}
    assert [number for tier in state["ranking"] for number in tier] == sorted(scores, key=lambda n: -scores[n])
    assert incumbent in [candidate["recipe"] for candidate in state["candidates"]]
    asked = board.service.store.open(id).state().asked
    shown = {asked.candidates[index].recipe.format() for index in asked.shown}
    hidden = [
        score
        for candidate, score in zip(asked.candidates, asked.scores, strict=True)
        if candidate.recipe.format() not in shown
    ]
    assert len(hidden) == 9
    chosen = sorted(
        score
        for candidate, score in zip(asked.candidates, asked.scores, strict=True)
        if candidate.recipe.format() in shown - {incumbent}
    )
    assert chosen[0] >= max(hidden) - 1e-12
    after = board.post(f"/sessions/{id}/tell", {"round": 2, "order": [[2]]})
    ranking = board.service.store.open(id).state().answers[-1].ranking
    assert after["best"]["recipe"] == state["candidates"][1]["recipe"]
    assert ranking.weights()[asked.shown[1]] == 11
    assert all(
        (index, other) in ranking.edges for index in asked.shown for other in range(12) if other not in asked.shown
    )
    assert len(after["candidates"]) == 3  # an ordinary round again


def test_a_mixed_round_that_is_cancelled_becomes_an_ordinary_one(board):
    id = board.begin(batch=3)["id"]
    board.host.gate.clear()
    board.post(f"/sessions/{id}/mixed", {"draw": 12, "scorer": "near"})
    board.client.post(f"{V1}/sessions/{id}/cancel")
    board.host.gate.set()
    state = board.wait(id)
    assert len(state["candidates"]) == 3
    assert state["ranking"] is None
    assert board.draw(id)["status"] == "ready"
