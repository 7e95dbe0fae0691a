"""What the board refuses over HTTP, and what goes on after a failure: two tabs, killed servers, broken hosts."""

from __future__ import annotations

import io
import zipfile

import pytest
from board_client import V1, Board, infotext


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
