"""A session of tests: begun, drawn and answered without any model."""

from __future__ import annotations

from board_host import SETTINGS, paint

from lib_hps.ranking import Ranking
from lib_hps.session import Session, SessionStore


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
