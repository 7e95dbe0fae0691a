"""Sessions over HTTP: finished, listed, branched, thrown away, exported, kept as choices."""

from __future__ import annotations

import importlib.util

import pytest
from board_client import V1, Board, infotext

from lib_hps.infotext import parse_infotext
from lib_hps.noise import NoiseRecipe
from lib_hps.preferences.choices import read_choices


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
