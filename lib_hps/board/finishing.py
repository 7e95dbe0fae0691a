"""The winner at its full size, through a second pass of the host."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lib_hps.board.drawing import Report, infotext_of
from lib_hps.board.host import Arrived, FinalOrder, Host, Item
from lib_hps.errors import Cancelled, InputError
from lib_hps.session import Session, State
from lib_hps.session.pictures import store_picture
from lib_hps.session.settings import clipped, whole

if TYPE_CHECKING:
    from PIL.Image import Image

_CELL_PX = 8
_LONGEST_PX = 4096


@dataclass(frozen=True)
class FinalSize:
    """What is wanted: pixels, and how much may change (0 to 1)."""

    width: int
    height: int
    strength: float


def read_final(state: State, body: Mapping[str, Any], default_strength: float) -> FinalSize:
    """From a request; twice the size where nothing is said.

    Raises:
        InputError: a value that cannot be, or nothing was answered yet.
    """
    if state.best is None:
        raise InputError("There is no winner yet. Answer at least one round first.")
    sizes = []
    for name in ("width", "height"):
        doubled = min(2 * state.settings[name], _LONGEST_PX) // _CELL_PX * _CELL_PX
        side = whole(name, doubled if body.get(name) is None else body[name], 16, _LONGEST_PX)
        if side % _CELL_PX:
            raise InputError(f"{name} is {side}; give a multiple of {_CELL_PX}.")
        sizes.append(side)
    strength = default_strength if body.get("strength") is None else body["strength"]
    is_number = isinstance(strength, (int, float)) and not isinstance(strength, bool) and math.isfinite(strength)
    if not is_number or not 0 <= strength <= 1:
        raise InputError(f"strength is {clipped(strength)}; give a number from 0 to 1.")
    return FinalSize(sizes[0], sizes[1], round(float(strength), 2))


def finish_best(
    session: Session, host: Host, wanted: FinalSize, *, report: Report, cancelled: Callable[[], bool]
) -> str:
    """Draw the incumbent at its full size and keep it.

    Returns:
        Where it is, in words.

    Raises:
        InputError: it has no picture under the present settings.
        Cancelled: after `cancelled()`.
        HpsError: as the host's.
    """
    state = session.state()
    order = final_order(session, state, wanted)
    host.check_settings(order.settings)
    with closing(host.finish(order)) as stream:
        for event in stream:
            if isinstance(event, Arrived):
                kept = host.keep(deliver_final(session, order, event.image, event.infotext))
                return f"Saved as {kept}." if kept else "Saved."
            report("the winner at its full size", event.fraction, None)
            if cancelled():
                raise Cancelled("Stopped; the winner is kept at the size it had.")
    raise InputError("The host gave no picture.")


def final_order(session: Session, state: State, wanted: FinalSize) -> FinalOrder:
    """What has to be drawn for the incumbent at its full size.

    Raises:
        InputError: it has no picture under the present settings.
    """
    drawn = state.picture(state.best) if state.best else None
    if state.best is None or drawn is None:
        raise InputError("The winner was not drawn under the present settings yet. Draw this round first.")
    extra = infotext_of(state.id, len(state.answers), state.optimizer["name"], state.best)
    return FinalOrder(
        state.settings,
        state.optimizer["seed"],
        session.picture(drawn.file),
        Item(0, state.best, extra),
        len(state.answers),
        wanted.width,
        wanted.height,
        wanted.strength,
    )


def deliver_final(session: Session, order: FinalOrder, image: Image, infotext: str) -> Path:
    """Keep a winner at its full size; gives its file.

    Raises:
        StorageError: it cannot be written.
    """
    file, thumb = store_picture(session.folder, image, infotext)
    session.note(
        {
            "type": "final",
            "file": file,
            "thumb": thumb,
            "recipe": order.item.recipe,
            "round": order.answers + 1,
            "answers": order.answers,
            "width": image.width,
            "height": image.height,
        }
    )
    return session.picture(file)
