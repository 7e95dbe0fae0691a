"""Our sessions: what a person answered on the board, round by round."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lib_hps.errors import HpsError
from lib_hps.preferences.readers.source import RowError, Source
from lib_hps.preferences.records import BrokenRow, Picture, Record
from lib_hps.ranking import Ranking
from lib_hps.session import Session, State
from lib_hps.session.journal import LOG
from lib_hps.session.log import Event
from lib_hps.session.names import is_id
from lib_hps.session.replay import apply
from lib_hps.session.state import live_events


def recognises(path: Path) -> bool:
    """A session's folder, or a folder of sessions."""
    return path.is_dir() and ((path / LOG).is_file() or any(_sessions(path)))


def read(source: Source) -> Iterator[Record | BrokenRow]:
    """Every answer of a person that stands; a scorer's are none."""
    folders = [source.path] if (source.path / LOG).is_file() else list(_sessions(source.path))
    for folder in folders:
        try:
            session = Session(folder, folder.parent / ".locks")
            events = live_events(session.events())
            state = State(id=session.id)
            for event in events:
                if event["type"] == "told" and event["by"] == "person":
                    yield _record(source, session, state, event)
                apply(state, event)
        except HpsError as error:
            yield BrokenRow(folder / LOG, 0, str(error))


def _sessions(path: Path) -> Iterator[Path]:
    return (one for one in sorted(path.iterdir()) if is_id(one.name) and (one / LOG).is_file())


def _record(source: Source, session: Session, state: State, event: Event) -> Record | BrokenRow:
    """An answer, from the state before it; the same id and fields as the board's own record of it."""
    file = session.folder / LOG
    asked = state.asked
    try:
        if asked is None:
            raise RowError("An answer without a question.")
        places = {index: place for place, index in enumerate(asked.shown)}
        edges = [(places[a], places[b]) for a, b in event["ranking"]["edges"] if a in places and b in places]
        recipes = [asked.candidates[index].recipe.format() for index in asked.shown]
        return Record(
            id=f"{session.id}/{event['n']}",
            prompt=state.settings["prompt"],
            pictures=tuple(_picture(source, session, state, recipe) for recipe in recipes),
            ranking=Ranking.pairs(edges, len(asked.shown)),
            source=f"{file}, row {event['n']}",
            extra={
                "time": event["time"],
                "model": state.settings.get("model", ""),
                "settings": dict(state.settings),
                "recipes": recipes,
                "seed": state.optimizer["seed"],
            },
        )
    except (RowError, HpsError) as error:
        return BrokenRow(file, event["n"], str(error))


def _picture(source: Source, session: Session, state: State, recipe: str) -> Picture:
    drawn = state.picture(recipe)
    if drawn is None:
        if source.needs_pictures:
            raise RowError(f"The picture of {recipe} is missing.")
        return Picture(session.folder / "pictures" / "missing.png", name=recipe)
    if not source.needs_pictures:
        return Picture(session.folder / "pictures" / drawn.file, name=drawn.file)
    return Picture(session.picture(drawn.file), name=drawn.file)
