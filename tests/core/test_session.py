"""A session is its log: replay gives the state bit for bit, a kill at any byte loses nothing that was whole."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from session_steps import answer, create, draw, everything, fresh

from lib_hps.errors import InputError
from lib_hps.ranking import OPTIMIZERS
from lib_hps.session import Session, SessionStore
from lib_hps.session.journal import LOG
from lib_hps.session.log import EventLog


@pytest.fixture
def store(tmp_path: Path) -> SessionStore:
    return SessionStore(tmp_path / "sessions")


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
