"""A session is its log: replay gives the state bit for bit, a kill at any byte loses nothing that was whole."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from board_host import SETTINGS, paint

from lib_hps.errors import ConflictError, InputError, NotFoundError, StorageError
from lib_hps.ranking import OPTIMIZERS, Ranking
from lib_hps.session import Session, SessionStore, shuffled
from lib_hps.session.journal import LOG
from lib_hps.session.log import UPGRADERS, EventLog

ROOT = Path(__file__).parents[2]


@pytest.fixture
def store(tmp_path: Path) -> SessionStore:
    return SessionStore(tmp_path / "sessions")


def create(store: SessionStore, *, name: str = "cat", optimizer: str = "random", batch: int = 4) -> Session:
    return store.create(
        name=name, settings=SETTINGS, optimizer={"name": optimizer, "seed": 7, "batch": batch, "params": {}}
    )


def draw(session: Session) -> int:
    state = session.state()
    missing = state.missing()
    for index in missing:
        recipe = state.asked.candidates[index].recipe.format()
        session.add_picture(
            recipe, state.key, paint(recipe), f"a cat\nSteps: 4, Sampler: DDIM, Seed: 7, HPS noise: {recipe}"
        )
    return len(missing)


def answer(session: Session, winner: int = 1) -> None:
    draw(session)
    state = session.state()
    session.tell(state.round, Ranking.pick(winner, len(state.asked.candidates)), by="person", order=[[1]])


def fresh(session: Session) -> Session:
    """The same session as another program would open it."""
    return Session(session.folder, session.folder.parent / ".locks")


def everything(session: Session) -> dict:
    return {**session.state().to_dict(), "optimizer_state": session.optimizer_state()}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_replay_gives_the_state_and_the_optimiser_bit_for_bit_after_every_step(store, optimizer):
    if optimizer == "cmaes":
        pytest.importorskip("cmaes")
    session = create(store, optimizer=optimizer)
    steps = [
        lambda: answer(session, 2),
        lambda: answer(session, 0),
        session.undo,
        lambda: session.change_settings({"prompt": "a dog"}),
        lambda: answer(session, 3),
        lambda: session.rename("dog"),
        session.undo,
        session.undo,
        lambda: answer(session, 1),
        lambda: session.ask(count=4 if optimizer == "cmaes" else 8, scorer="near"),
    ]
    for step in steps:
        step()
        assert everything(fresh(session)) == everything(session)
    assert session.state().round == 2


def test_the_log_cut_off_at_every_byte_opens_with_the_last_whole_event(store, tmp_path):
    session = create(store)
    answer(session)
    session.undo()
    answer(session, 2)
    raw = (session.folder / LOG).read_bytes()
    whole = fresh(session).events()
    folder = tmp_path / "cut" / session.id
    folder.mkdir(parents=True)
    for length in range(len(raw) + 1):
        (folder / LOG).write_bytes(raw[:length])
        events = EventLog(folder / LOG).read_new()
        assert events == whole[: raw[:length].count(b"\n")]
    # the states too, at every event and in the middle of every event
    ends = [at + 1 for at, byte in enumerate(raw) if byte == 10]
    for end in ends:
        for length in (end, end + 7):
            (folder / LOG).write_bytes(raw[:length])
            assert Session(folder, tmp_path / "locks").state().version == raw[:length].count(b"\n")


def test_after_a_kill_the_session_goes_on_and_the_torn_line_is_gone(store):
    session = create(store)
    answer(session)
    path = session.folder / LOG
    path.write_bytes(path.read_bytes()[:-9])
    again = fresh(session)
    before = again.state().version
    assert again.state().asked is None  # the next round's candidates were in the torn line
    again.ask()
    assert again.state().version == before + 1
    answer(again)
    assert everything(fresh(session)) == everything(again)
    assert [json.loads(line)["n"] for line in path.read_bytes().splitlines()] == list(
        range(1, again.state().version + 1)
    )


def test_the_same_candidates_come_back_after_a_kill_between_answer_and_question(store):
    session = create(store, optimizer="best-of-n")
    answer(session)
    asked = session.state().asked
    path = session.folder / LOG
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    again = fresh(session)
    assert again.ask().asked == asked


def test_undo_brings_the_round_and_its_pictures_back_and_the_log_only_grows(store):
    session = create(store)
    draw(session)
    before = session.state()
    answer(session, 2)
    draw(session)
    grown = (session.folder / LOG).read_bytes()
    after = session.undo()
    assert (after.round, after.asked, after.missing()) == (before.round, before.asked, [])
    assert (session.folder / LOG).read_bytes().startswith(grown)
    answer(session, 2)
    assert session.state().missing() == []  # the very pictures of before


def test_undo_can_be_repeated_to_the_first_round_and_not_further(store):
    session = create(store)
    for winner in (0, 1, 2):
        answer(session, winner)
    for round in (3, 2, 1):
        assert session.undo().round == round
    with pytest.raises(InputError, match="first round"):
        session.undo()


def test_the_incumbents_picture_is_not_drawn_again(store):
    session = create(store, batch=4)
    assert draw(session) == 4
    answer(session, 2)
    assert draw(session) == 3
    best = session.state().best
    assert sum(candidate.recipe.format() == best for candidate in session.state().asked.candidates) == 1


def test_other_settings_need_other_pictures_and_are_told_in_the_history(store):
    session = create(store)
    answer(session)
    draw(session)
    state = session.change_settings({"prompt": "a dog", "steps": 8})
    assert len(state.missing()) == 4
    assert state.asked == session.state().asked
    answer(session)
    assert session.state().answers[-1].change == "prompt: a cat -> a dog; steps: 4 -> 8"
    assert session.state().answers[0].change is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"prompt": " "}, "Write a prompt"),
        ({"steps": 0}, "steps is 0"),
        ({"cfg": float("nan")}, "cfg is nan"),
        ({"width": "64"}, "width is '64'"),
        ({"colour": 1}, "no setting 'colour'"),
        ({"prompt": "x" * 20_001}, "at most 20000"),
        ({"prompt": "\ud800"}, "no text file"),
        ({}, "Say which setting"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_and_named_and_nothing_is_written(store, changes, said):
    session = create(store)
    before = (session.folder / LOG).read_bytes()
    with pytest.raises(InputError, match=said):
        session.change_settings(changes)
    assert (session.folder / LOG).read_bytes() == before


@pytest.mark.parametrize("round", [1, 2, 3])
def test_a_branch_is_as_the_session_was_before_that_rounds_answer(store, round):
    session = create(store)
    states = []
    for winner in (1, 2):
        draw(session)
        states.append(session.state())
        answer(session, winner)
    draw(session)
    states.append(session.state())
    branch = store.branch(session.id, round).state()
    then = states[round - 1]
    assert (branch.round, branch.asked, branch.settings) == (then.round, then.asked, then.settings)
    assert [a.best for a in branch.answers] == [a.best for a in then.answers]
    assert branch.missing() == []
    assert branch.origin == {"session": session.id, "round": round}
    assert session.state().round == 3


def test_a_branch_lives_on_its_own(store):
    session = create(store)
    answer(session)
    branch = store.branch(session.id, 1)
    answer(branch, 3)
    store.trash(session.id)
    assert everything(fresh(branch)) == everything(branch)
    assert branch.picture(branch.state().answers[0].picture.file).is_file()
    with pytest.raises(InputError, match="no round 9"):
        store.branch(branch.id, 9)


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
