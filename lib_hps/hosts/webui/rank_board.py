"""The board inside the WebUI: its sessions' folder, its scorers, and the text by which a form takes a session over."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from lib_hps.board.keeper import ChoiceKeeper
from lib_hps.board.service import BoardService
from lib_hps.infotext import format_infotext, parse_infotext
from lib_hps.session import SessionStore, State
from lib_hps.session.pictures import read_infotext

from . import features, scorers
from .options import SCRIPT_TITLE
from .rank_host import WebUIHost
from .rank_options import NOISE_KEY, ORIGIN_KEYS, SESSION_KEY
from .scorers import ScorerHolder

# of hires fix: a session's form has it as the user likes, not as its last picture had it
_DROPPED = {
    NOISE_KEY,
    *ORIGIN_KEYS,
    "Denoising strength",
    "Hires upscale",
    "Hires resize",
    "Hires upscaler",
    "Hires steps",
}


class WebUIBoard(BoardService):
    """Sessions of the WebUI."""

    def scorers(self) -> list[dict[str, Any]]:
        """Scorers by name, with all that may be known of them but where their files lie."""
        known = {info.name: asdict(info) for info in scorers.infos()}
        for info in known.values():
            info.pop("path", None)
        return [{**known.get(line["name"], {}), **line} for line in super().scorers()]

    def form(self, id: str) -> dict[str, str]:
        """An infotext to be pasted: it fills the form with the session's settings, and chooses script and session."""
        session = self.store.open(id)
        state = session.state()
        drawn = [picture for picture in state.pictures.values() if picture.key == state.key]
        known = parse_infotext(read_infotext(session.picture(drawn[-1].file))).settings if drawn else _basic(state)
        said = {key: value for key, value in known.items() if key not in _DROPPED}
        said |= {"Script": SCRIPT_TITLE, SESSION_KEY: id}
        settings = state.settings
        return {"infotext": format_infotext(settings["prompt"], negative=settings["negative"], settings=said)}


def _basic(state: State) -> dict[str, Any]:
    """Of a session without a picture."""
    settings = state.settings
    return {
        "Steps": settings["steps"],
        "Sampler": settings["sampler"],
        "CFG scale": f"{settings['cfg']:g}",
        "Seed": state.optimizer["seed"],
        "Size": f"{settings['width']}x{settings['height']}",
        "Model": settings["model"],
    }


def make_board(holder: ScorerHolder) -> WebUIBoard:
    """The board of this WebUI; nothing is read or written before it is used."""
    folder = features.sessions_dir()
    return WebUIBoard(SessionStore(folder / "sessions"), WebUIHost(holder), ChoiceKeeper(folder / "choices"))
