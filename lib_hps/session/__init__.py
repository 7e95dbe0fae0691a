"""What happened? Sessions of ranking rounds, kept as an append-only log. No torch here."""

from lib_hps.session.session import Session, shuffled
from lib_hps.session.state import Answer, Asked, Drawn, Final, State
from lib_hps.session.store import Listed, SessionStore

__all__ = ["Answer", "Asked", "Drawn", "Final", "Listed", "Session", "SessionStore", "State", "shuffled"]
