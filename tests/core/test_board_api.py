"""The HTTP API as a whole: its schema, its options, hosts that draw elsewhere, the documented client."""

from __future__ import annotations

import json
import random
import time

import pytest
from board_client import V1, Board
from board_host import Painter

from lib_hps.errors import ConflictError, InputError
from lib_hps.infotext import parse_infotext


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
