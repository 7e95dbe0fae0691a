"""The board over HTTP: what is asked, drawn, answered and kept, and what is refused in one sentence."""

from __future__ import annotations

import importlib.util
import io
import itertools
import json
import random
import time
import zipfile
from collections.abc import Iterator

import pytest

try:
    from fastapi import FastAPI
    from fastapi.testclient import TestClient
except (ImportError, RuntimeError) as error:  # the test client says in its own way that it needs an HTTP client
    pytest.skip(f"the board's API was not called: {error}", allow_module_level=True)

from board_host import Painter

from lib_hps.board.api import make_router
from lib_hps.board.keeper import ChoiceKeeper
from lib_hps.board.service import BoardService
from lib_hps.errors import ConflictError, InputError
from lib_hps.infotext import parse_infotext
from lib_hps.noise import NoiseRecipe
from lib_hps.preferences.choices import read_choices
from lib_hps.session import SessionStore

V1 = "/hps/v1"


class Board:
    """A client of one server."""

    def __init__(self, folder, host=None) -> None:
        self.folder, self.host = folder, host or Painter()
        self.service = BoardService(SessionStore(folder / "sessions"), self.host, ChoiceKeeper(folder / "choices"))
        app = FastAPI()
        app.include_router(make_router(self.service))
        self.client = TestClient(app)

    def get(self, path, status=200):
        answer = self.client.get(V1 + path)
        assert answer.status_code == status, answer.text
        return answer.json()

    def post(self, path, body=None, status=200):
        answer = self.client.post(V1 + path, json=body or {})
        assert answer.status_code == status, answer.text
        return answer.json()

    def begin(self, **body):
        return self.post(
            "/sessions", {"settings": {"prompt": "a cat"}, "batch": 4, "seed": 7, "optimizer": "random", **body}
        )

    def wait(self, id):
        give_up = time.monotonic() + 60
        while (state := self.get(f"/sessions/{id}"))["task"] is not None:
            assert time.monotonic() < give_up
            time.sleep(0.01)
        return state

    def draw(self, id):
        self.post(f"/sessions/{id}/draw")
        state = self.wait(id)
        assert state["error"] is None
        return state

    def play(self, id, order=([1],)):
        state = self.draw(id)
        return self.post(f"/sessions/{id}/tell", {"round": state["round"], "order": list(order)})


@pytest.fixture
def board(tmp_path) -> Iterator[Board]:
    made = Board(tmp_path)
    yield made
    made.host.gate.set()
    made.service.close()


def infotext(board: Board, url: str) -> dict:
    from PIL import Image

    with Image.open(io.BytesIO(board.client.get(url).content)) as image:
        return dict(parse_infotext(image.info["parameters"]).settings)


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


@pytest.mark.parametrize("raw", [b"[1]", b"{", b'"x"', b"[" * 5000, b"\xff"])
def test_a_body_that_is_no_json_object_is_refused_in_a_sentence(board, raw):
    answer = board.client.post(V1 + "/sessions", content=raw, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert isinstance(answer.json()["detail"], str)
    assert board.client.post(V1 + "/sessions", content=b" " * 2_000_000).status_code == 400


def test_an_answer_before_the_pictures_are_there_is_refused(board):
    id = board.begin()["id"]
    assert "not all there" in board.post(f"/sessions/{id}/tell", {"round": 1, "order": [[1]]}, 409)["detail"]


def test_two_tabs_cannot_answer_one_round_twice_nor_undo_twice(board):
    id = board.begin()["id"]
    first = board.play(id)
    assert "another tab" in board.post(f"/sessions/{id}/tell", {"round": 1, "order": [[2]]}, 409)["detail"]
    board.play(id)
    seen = board.get(f"/sessions/{id}")["version"]
    assert board.post(f"/sessions/{id}/undo", {"version": seen})["round"] == 2
    board.post(f"/sessions/{id}/undo", {"version": seen}, 409)
    assert board.get(f"/sessions/{id}")["round"] == 2
    board.post(f"/sessions/{id}/settings", {"prompt": "a dog", "version": first["version"]}, 409)


def test_undo_shows_the_round_again_with_all_its_pictures(board):
    id = board.begin()["id"]
    before = board.draw(id)
    board.post(f"/sessions/{id}/tell", {"round": 1, "order": [[2]]})
    board.draw(id)
    drawn = len(board.host.draws)
    after = board.post(f"/sessions/{id}/undo")
    assert after["status"] == "ready"
    assert after["candidates"] == before["candidates"]
    assert after["best"] is None
    board.post(f"/sessions/{id}/tell", {"round": 1, "order": [[2]]})
    assert board.get(f"/sessions/{id}")["status"] == "ready"
    assert len(board.host.draws) == drawn
    assert "first round" in board.post(f"/sessions/{board.begin()['id']}/undo", {}, 400)["detail"]


def test_a_server_that_is_killed_while_it_draws_goes_on_where_it_was(board, tmp_path):
    id = board.begin()["id"]
    best = board.play(id, [[3]])["best"]
    board.host.gate.clear()
    board.post(f"/sessions/{id}/draw")
    again = Board(tmp_path)  # another server on the same folder; the first one's task still holds its lock
    assert again.get(f"/sessions/{id}")["best"] == best
    assert "Another program is busy" in again.post(f"/sessions/{id}/draw", {}, 409)["detail"]
    board.host.gate.set()
    board.wait(id)
    assert again.draw(id)["status"] == "ready"
    assert again.host.draws == []


def test_a_tab_cannot_change_a_session_that_is_drawing_but_can_cancel(board):
    id = board.begin()["id"]
    board.host.gate.clear()
    state = board.post(f"/sessions/{id}/draw")
    assert (state["status"], state["task"]) == ("drawing", "draw")
    for path, body in (("undo", {}), ("settings", {"steps": 5}), ("tell", {"round": 1, "order": [[1]]}), ("draw", {})):
        assert "busy" in board.post(f"/sessions/{id}/{path}", body, 409)["detail"]
    board.client.post(f"{V1}/sessions/{id}/cancel")
    board.host.gate.set()
    state = board.wait(id)
    assert (state["status"], state["error"]) == ("new", None)
    assert "kept" in state["note"]
    kept = [candidate["picture"] is not None for candidate in state["candidates"]]
    assert 0 < sum(kept) < 4
    assert board.draw(id)["status"] == "ready"


def test_two_sessions_are_drawn_at_once_and_do_not_mix(board):
    ids = [board.begin(seed=seed)["id"] for seed in (1, 1000)]
    board.host.gate.clear()
    for id in ids:
        board.post(f"/sessions/{id}/draw")
    assert [board.get(f"/sessions/{id}")["task"] for id in ids] == ["draw", "draw"]
    board.host.gate.set()
    for id, first in zip(ids, (1, 1000), strict=True):
        state = board.wait(id)
        assert state["status"] == "ready"
        assert {candidate["recipe"] for candidate in state["candidates"]} == {f"{first + n}*1" for n in range(4)}
        for candidate in state["candidates"]:
            assert infotext(board, candidate["picture"])["HPS session"] == id


def test_a_host_that_fails_says_so_and_the_session_can_go_on(board):
    id = board.begin()["id"]
    board.host.fails = True
    board.post(f"/sessions/{id}/draw")
    state = board.wait(id)
    assert (state["status"], state["error"]) == ("new", "The paint is dry.")
    board.host.fails = False
    assert board.draw(id)["status"] == "ready"


def test_other_settings_are_drawn_anew_and_told_in_the_history(board):
    id = board.begin()["id"]
    board.play(id)
    board.draw(id)
    state = board.post(f"/sessions/{id}/settings", {"prompt": "a dog"})
    assert (state["status"], state["change"]) == ("new", "prompt: a cat -> a dog")
    assert state["best"]["is_current"] is False
    assert state["best"]["picture"]
    assert board.play(id)["history"][1]["change"] == "prompt: a cat -> a dog"
    assert "no sampler 'x'" in board.post(f"/sessions/{id}/settings", {"sampler": "x"}, 400)["detail"]


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


def test_the_winner_is_finished_at_a_larger_size_with_its_recipe(board):
    id = board.begin()["id"]
    assert "no winner yet" in board.post(f"/sessions/{id}/finish", {}, 400)["detail"]
    best = board.play(id)["best"]["recipe"]
    for body, said in (
        ({"width": 33}, "multiple of 8"),
        ({"strength": 2}, "strength is 2"),
        ({"width": 99999}, "width"),
    ):
        assert said in board.post(f"/sessions/{id}/finish", body, 400)["detail"]
    board.post(f"/sessions/{id}/finish", {"strength": 0.4})
    state = board.wait(id)
    assert (state["status"], state["error"]) == ("finished", None)
    (final,) = state["finals"]
    assert (final["width"], final["height"], final["recipe"]) == (32, 32, best)
    assert parse_infotext(final["infotext"]).settings["HPS noise"] == best
    assert infotext(board, final["picture"])["HPS session"] == id
    assert board.draw(id)["status"] in ("ready", "finished")
    assert board.play(id)["status"] == "new"  # going on is allowed, and nothing of the final is lost
    assert board.get(f"/sessions/{id}")["finals"] == [final]


def test_best_gives_all_that_is_needed_to_draw_it_again(board):
    id = board.begin()["id"]
    board.get(f"/sessions/{id}/best", 404)
    state = board.play(id, [[2]])
    best = board.get(f"/sessions/{id}/best")
    settings = parse_infotext(best["infotext"]).settings
    assert NoiseRecipe.parse(settings["HPS noise"]).format() == best["recipe"] == state["best"]["recipe"]
    assert (settings["HPS session"], settings["HPS round"], settings["HPS optimizer"]) == (id, "1", "random")


def test_sessions_are_listed_branched_renamed_thrown_away_and_taken_back(board):
    id = board.begin()["id"]
    board.play(id)
    branch = board.post(f"/sessions/{id}/branch", {"round": 1})
    assert (branch["round"], branch["status"]) == (1, "ready")
    assert branch["origin"] == {"session": id, "round": 1}
    assert board.post(f"/sessions/{id}/rename", {"name": "heart"})["name"] == "heart"
    board.post(f"/sessions/{id}/rename", {"name": ""}, 400)
    assert {line["id"] for line in board.get("/sessions")["sessions"]} == {id, branch["id"]}
    assert board.client.delete(f"{V1}/sessions/{id}").json() == {"trashed": True}
    assert [line["id"] for line in board.get("/sessions")["sessions"]] == [branch["id"]]
    (line,) = board.get("/trash")["sessions"]
    assert (line["id"], line["name"], line["rounds"], line["thumb"]) == (id, "heart", 1, None)
    for path in (f"/sessions/{id}", f"/sessions/{id}/best", f"/sessions/{id}/export"):
        board.get(path, 404)
    assert board.post(f"/trash/{id}/restore")["name"] == "heart"
    assert board.get("/trash") == {"sessions": []}


def test_throwing_a_session_away_stops_what_it_draws(board):
    id = board.begin()["id"]
    board.host.gate.clear()
    board.post(f"/sessions/{id}/draw")
    timer = __import__("threading").Timer(0.3, board.host.gate.set)
    timer.start()
    assert board.client.delete(f"{V1}/sessions/{id}").json() == {"trashed": True}
    assert len(board.host.draws) <= 1


@pytest.mark.parametrize("how", ["multipart", "raw"])
def test_a_session_is_exported_and_imported(board, tmp_path, how):
    id = board.begin()["id"]
    board.play(id)
    answer = board.client.get(f"{V1}/sessions/{id}/export")
    assert f'filename="{id}.zip"' in answer.headers["content-disposition"]
    elsewhere = Board(tmp_path / "elsewhere")
    url = V1 + "/sessions/import"
    if how == "multipart":
        if not any(importlib.util.find_spec(name) for name in ("python_multipart", "multipart")):
            pytest.skip("python-multipart is not installed")
        read = elsewhere.client.post(url, files={"file": ("s.zip", answer.content, "application/zip")})
    else:
        read = elsewhere.client.post(url, content=answer.content, headers={"content-type": "application/zip"})
    assert read.status_code == 200, read.text
    mine = board.get(f"/sessions/{id}")
    assert read.json()["candidates"] == mine["candidates"]
    assert read.json()["history"] == mine["history"]
    assert elsewhere.draw(id)["status"] == "ready"


def test_a_hostile_zip_is_refused_in_a_sentence(board):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("../../evil", b"x")
    for content in (stream.getvalue(), b"no zip", b""):
        answer = board.client.post(V1 + "/sessions/import", content=content)
        assert answer.status_code == 400
        assert isinstance(answer.json()["detail"], str)
    assert board.get("/sessions") == {"sessions": []}


@pytest.mark.parametrize(
    "path",
    [
        "/sessions/nope",
        "/sessions/..%2f..%2fetc",
        "/sessions/20261124-030000-abcdef",
        "/sessions/{id}/pictures/..%2flog.jsonl",
        "/sessions/{id}/pictures/log.jsonl",
        "/board/static/..%2fapi.py",
        "/board/static/../api.py",
        "/board/static/%00",
        "/board/static/",
    ],
)
def test_ids_and_names_that_lead_elsewhere_are_not_found(board, path):
    id = board.begin()["id"]
    answer = board.client.get(V1 + path.replace("{id}", id))
    assert answer.status_code == 404
    assert "def " not in answer.text


def test_answers_of_people_are_kept_for_training_until_that_is_switched_off(board):
    assert board.get("/options")["keeps_choices"] is True
    id = board.begin()["id"]
    state = board.draw(id)
    board.post(f"/sessions/{id}/tell", {"round": 1, "order": [[3], [1]]})
    (row,) = read_choices(board.folder / "choices")
    assert (row["prompt"], row["human_preference"]) == ("a cat", 2)
    assert row["recipes"] == [candidate["recipe"] for candidate in state["candidates"]]
    assert sorted(row["edges"]) == [[0, 1], [0, 3], [2, 0], [2, 1], [2, 3]]
    for candidate, file in zip(state["candidates"], row["file_path"], strict=True):
        assert (board.folder / "choices" / file).read_bytes() == board.client.get(candidate["picture"]).content
    board.post(f"/sessions/{id}/undo")
    assert read_choices(board.folder / "choices") == []
    board.post(f"/sessions/{id}/tell", {"round": 1, "order": [[3]]})
    assert board.post("/options", {"keeps_choices": False})["keeps_choices"] is False
    board.play(id)
    board.post(f"/sessions/{id}/auto", {"rounds": 1, "scorer": "near"})
    board.wait(id)
    assert len(read_choices(board.folder / "choices")) == 1
    assert Board(board.folder).get("/options")["keeps_choices"] is False
    board.post("/options", {"keeps_choices": "no"}, 400)


def test_a_scorers_answers_are_no_choices_of_a_person(board):
    id = board.begin()["id"]
    board.post(f"/sessions/{id}/auto", {"rounds": 2, "scorer": "near"})
    board.wait(id)
    assert read_choices(board.folder / "choices") == []


def test_a_page_of_another_site_cannot_change_anything(board):
    answer = board.client.post(
        V1 + "/sessions", json={"settings": {"prompt": "x"}}, headers={"sec-fetch-site": "cross-site"}
    )
    assert answer.status_code == 403
    assert board.get("/sessions") == {"sessions": []}
    own = board.client.post(
        V1 + "/sessions", json={"settings": {"prompt": "x"}}, headers={"sec-fetch-site": "same-origin"}
    )
    assert own.status_code == 200


def test_a_host_that_does_not_draw_by_itself_gets_the_order_and_brings_the_pictures(tmp_path):
    host = Painter()
    host.draws_itself = host.finishes_itself = False
    board = Board(tmp_path, host)
    id = board.begin(seed=5)["id"]
    assert "Generate" in board.post(f"/sessions/{id}/draw", {}, 400)["detail"]
    order = board.service.expect(id)
    assert (order.seed, len(order.items)) == (5, 4)
    for event in host.draw(order):
        if hasattr(event, "image"):
            board.service.deliver(id, order, event.index, event.image, event.infotext)
    assert board.get(f"/sessions/{id}")["status"] == "ready"
    assert board.service.expect(id).items == ()
    state = board.post(f"/sessions/{id}/tell", {"round": 1, "order": [[1]]})
    late = next(event for event in host.draw(order) if hasattr(event, "image"))
    board.service.deliver(id, order, late.index, late.image, late.infotext)  # of a round that is over: kept, no harm
    assert board.get(f"/sessions/{id}")["round"] == state["round"]


def test_such_a_host_can_have_mixed_rounds_and_winners_at_full_size(tmp_path):
    host = Painter()
    host.draws_itself = host.finishes_itself = False
    board = Board(tmp_path, host)
    id = board.begin(seed=5, batch=3)["id"]
    with pytest.raises(InputError, match="'magic' is not known"):
        board.service.expect(id, mixed=8, scorer="magic")
    with pytest.raises(ConflictError, match="no mixed round"):
        board.service.pre_rank(id)
    order = board.service.expect(id, mixed=8, scorer="near")
    assert len(order.items) == 8
    for event in host.draw(order):
        if hasattr(event, "image"):
            board.service.deliver(id, order, event.index, event.image, event.infotext)
    state = board.service.pre_rank(id)
    assert (state["status"], len(state["candidates"])) == ("ready", 3)
    board.post(f"/sessions/{id}/tell", {"round": 1, "order": state["ranking"]})
    final = board.service.expect_final(id, {})
    arrived = next(event for event in host.finish(final) if hasattr(event, "image"))
    state = board.service.deliver_final(id, final, arrived.image, arrived.infotext)
    assert (state["status"], state["finals"][0]["recipe"]) == ("finished", state["best"]["recipe"])


def test_the_schema_names_every_route_and_its_body(board):
    schema = board.get("/schema")
    tell = schema["paths"][V1 + "/sessions/{id}/tell"]["post"]
    body = tell["requestBody"]["content"]["application/json"]["schema"]["properties"]
    assert {"round", "order", "none_better", "pairs"} <= set(body)
    assert {V1 + "/sessions", V1 + "/sessions/{id}/auto", V1 + "/sessions/import", V1 + "/trash/{id}/restore"} <= set(
        schema["paths"]
    )
    ids = [route["operationId"] for path in schema["paths"].values() for route in path.values()]
    assert len(ids) == len(set(ids))
    assert board.get("/version")["api"] == 1
    assert json.dumps(schema)


def test_options_give_what_a_new_session_may_choose(board):
    options = board.get("/options")
    assert {"random", "best-of-n"} <= set(options["optimizers"])
    assert options["defaults"]["optimizer"] in options["optimizers"]
    assert board.get("/scorers")["scorers"][2] == {"name": "missing", "available": False}
    created = board.post("/sessions", {"settings": {"prompt": "a cat"}})
    assert created["settings"] == {"prompt": "a cat", **options["defaults"]["settings"]}
    assert len(created["candidates"]) == options["defaults"]["batch"]


@pytest.mark.parametrize("seed", range(3))
def test_any_row_of_answers_undos_and_changes_leaves_a_session_that_opens_again_as_it_was(tmp_path, seed):
    rng, board = random.Random(seed), Board(tmp_path)
    id = board.begin(optimizer=rng.choice(["random", "best-of-n"]))["id"]
    for _ in range(25):
        kind = rng.choice(["tell", "tell", "undo", "settings", "rename", "auto", "mixed"])
        state = board.draw(id)
        if kind == "tell":
            numbers = rng.sample(range(1, 5), rng.randint(1, 4))
            board.post(
                f"/sessions/{id}/tell",
                {"round": state["round"], "order": [[n] for n in numbers if n <= len(state["candidates"])] or [[1]]},
            )
        elif kind == "undo" and state["round"] > 1:
            board.post(f"/sessions/{id}/undo")
        elif kind == "settings":
            board.post(f"/sessions/{id}/settings", {"steps": rng.randint(1, 30)})
        elif kind == "rename":
            board.post(f"/sessions/{id}/rename", {"name": f"n{rng.random()}"})
        elif kind in ("auto", "mixed"):
            board.post(f"/sessions/{id}/{kind}", {"rounds": 2, "draw": 9, "scorer": "near"})
            assert board.wait(id)["error"] is None
        again = Board(tmp_path)
        mine, theirs = board.get(f"/sessions/{id}"), again.get(f"/sessions/{id}")
        assert {**mine, "note": None} == {**theirs, "note": None}


def test_the_client_in_the_documentation_plays_a_session(tmp_path, capsys):
    import threading
    from pathlib import Path

    uvicorn = pytest.importorskip("uvicorn", reason="uvicorn is not installed: the documented client was not run")
    text = (Path(__file__).parents[2] / "docs" / "api.md").read_text("utf-8")
    code = text.split("```python\n")[1].split("```")[0]
    assert len([line for line in code.splitlines() if line.strip()]) <= 26
    board = Board(tmp_path)
    server = uvicorn.Server(uvicorn.Config(board.client.app, port=0, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        exec(compile(code.replace("7860", str(port)), "api.md", "exec"), {"__name__": "client"})
    finally:
        server.should_exit = True
        thread.join(30)
    settings = parse_infotext(capsys.readouterr().out).settings
    (line,) = board.get("/sessions")["sessions"]
    assert line["rounds"] == 3
    assert settings["HPS session"] == line["id"]
