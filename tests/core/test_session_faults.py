"""Several programs on one session, full disks, damaged logs: what is whole stays, the rest is named."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from session_steps import answer, create, draw, everything, fresh

from lib_hps.errors import ConflictError, InputError, StorageError
from lib_hps.ranking import Ranking
from lib_hps.session import SessionStore
from lib_hps.session.journal import LOG
from lib_hps.session.log import UPGRADERS, EventLog

ROOT = Path(__file__).parents[2]


@pytest.fixture
def store(tmp_path: Path) -> SessionStore:
    return SessionStore(tmp_path / "sessions")


def test_two_programs_on_one_session_see_each_others_events_and_refuse_a_late_answer(store):
    one = create(store)
    two = fresh(one)
    draw(one)
    known = two.state().version
    one.tell(1, Ranking.pick(0, 4), by="person")
    with pytest.raises(ConflictError, match="Round 1 is over"):
        two.tell(1, Ranking.pick(1, 4), by="person")
    with pytest.raises(ConflictError, match="another tab"):
        two.undo(known=known)
    assert everything(two) == everything(one)
    two.undo(known=two.state().version)
    assert one.state().round == 1


def test_pictures_that_arrive_do_not_outdate_what_a_tab_knows(store):
    session = create(store)
    known = session.state().version
    draw(session)
    session.change_settings({"steps": 9}, known=known)
    with pytest.raises(ConflictError):
        session.change_settings({"steps": 10}, known=known)


def test_threads_and_processes_that_write_at_once_lose_nothing(store):
    session = create(store)
    code = (
        "import sys; from pathlib import Path; from lib_hps.session import Session\n"
        "session = Session(Path(sys.argv[1]), Path(sys.argv[1]).parent / '.locks')\n"
        "[session.rename(f'{sys.argv[2]} {i}') for i in range(20)]"
    )
    command = [sys.executable, "-c", code, str(session.folder)]
    processes = [subprocess.Popen([*command, name], cwd=ROOT) for name in ("a", "b")]
    threads = [
        threading.Thread(target=lambda n=n: [fresh(session).rename(f"{n} {i}") for i in range(10)]) for n in "cd"
    ]
    for thread in threads:
        thread.start()
    for waiting in threads:
        waiting.join()
    assert [process.wait(120) for process in processes] == [0, 0]
    events = fresh(session).events()
    names = [event["name"] for event in events if event["type"] == "renamed"]
    assert sorted(names) == sorted(
        [f"{n} {i}" for n in "ab" for i in range(20)] + [f"{n} {i}" for n in "cd" for i in range(10)]
    )
    assert [event["n"] for event in events] == list(range(1, len(events) + 1))


def test_a_full_disk_leaves_the_log_as_it_was(store, monkeypatch):
    session = create(store)
    draw(session)
    before = (session.folder / LOG).read_bytes()

    def full(handle):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("lib_hps.session.log.os.fsync", full)
        with pytest.raises(StorageError, match="No space left"):
            session.tell(1, Ranking.pick(0, 4), by="person")
    assert (session.folder / LOG).read_bytes() == before
    assert session.state().round == 1
    session.tell(1, Ranking.pick(0, 4), by="person")
    assert everything(fresh(session)) == everything(session)


def test_a_damaged_line_in_the_middle_is_named_and_the_session_is_listed_with_it(store):
    session = create(store)
    answer(session)
    path = session.folder / LOG
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:2], b"{gone\n", *lines[3:]]))
    with pytest.raises(InputError, match="Line 3 of"):
        fresh(session).state()
    again = SessionStore(store.root)
    assert "Line 3" in again.listing()[0].problem


def test_an_event_that_cannot_follow_is_refused_each_time_it_is_read(store):
    session = create(store)
    path = session.folder / LOG
    event = {"n": 3, "v": 1, "time": "x", "type": "told", "round": 8}
    path.write_bytes(path.read_bytes() + json.dumps(event).encode() + b"\n")
    again = fresh(session)
    for _ in range(2):
        with pytest.raises(InputError, match="Event 3"):
            again.state()


def test_a_log_of_a_newer_version_is_refused_and_of_an_older_one_upgraded(store, tmp_path):
    path = tmp_path / LOG
    path.write_text('{"n": 1, "v": 99, "type": "created"}\n')
    with pytest.raises(InputError, match="newer version"):
        EventLog(path).read_new()
    path.write_text('{"n": 1, "v": 0, "type": "created", "title": "old"}\n')
    with pytest.raises(InputError, match="schema 0"):
        EventLog(path).read_new()
    log = EventLog(path, upgraders={0: lambda event: {"type": event["type"], "name": event["title"]}})
    assert log.read_new() == [{"type": "created", "name": "old", "n": 1, "v": 1}]
    log.append(log.stamped([{"type": "renamed", "name": "new"}]))
    assert [json.loads(line)["v"] for line in path.read_text().splitlines()] == [0, 1]
    assert all(schema < 1 for schema in UPGRADERS)
