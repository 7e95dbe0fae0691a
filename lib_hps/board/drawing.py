"""Between a session's round and the host that draws it: what to draw, and where the pictures go."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING

from lib_hps.board.host import Arrived, Host, Item, Order
from lib_hps.errors import Cancelled, InputError
from lib_hps.session import Session, State

if TYPE_CHECKING:
    from PIL.Image import Image

Report = Callable[[str, float, "str | None"], None]


def infotext_of(session: str, round: int, optimizer: str, recipe: str) -> dict[str, str]:
    """What a picture's infotext says of its noise: with the prompt and the settings it is all that is needed."""
    return {"HPS noise": recipe, "HPS session": session, "HPS round": str(round), "HPS optimizer": optimizer}


def expected(session: Session) -> Order:
    """The pictures that the present round lacks; no items where none are lacking."""
    state = session.ask()
    return order_of(state)


def order_of(state: State) -> Order:
    """See `expected`."""
    items = []
    for index in state.missing():
        recipe = state.asked.candidates[index].recipe.format()  # type: ignore[union-attr]  # something is missing of it
        items.append(Item(index, recipe, infotext_of(state.id, state.round, state.optimizer["name"], recipe)))
    return Order(state.id, state.round, state.settings, state.key, state.optimizer["seed"], tuple(items))


def deliver(session: Session, order: Order, index: int, image: Image, infotext: str) -> State:
    """A picture has arrived; it is kept even if the round is over by now.

    Raises:
        InputError: the order has no such candidate.
        StorageError: it cannot be written.
    """
    item = next((item for item in order.items if item.index == index), None)
    if item is None:
        raise InputError(f"Candidate {index} was not asked for. The order has {[i.index for i in order.items]}.")
    return session.add_picture(item.recipe, order.key, image, infotext)


def draw_missing(session: Session, host: Host, *, report: Report, cancelled: Callable[[], bool]) -> int:
    """Draw what the present round lacks.

    Returns:
        How many pictures were drawn.

    Raises:
        Cancelled: after `cancelled()`; what was finished is kept.
        HpsError: as the host's.
    """
    order = expected(session)
    if not order.items:
        return 0
    host.check_settings(order.settings)
    drawn = 0
    with closing(host.draw(order)) as stream:
        for event in stream:
            if isinstance(event, Arrived):
                state = deliver(session, order, event.index, event.image, event.infotext)
                drawn += 1
                last = state.picture(next(item.recipe for item in order.items if item.index == event.index))
                report(f"picture {drawn} of {len(order.items)}", drawn / len(order.items), last.thumb if last else None)
            else:
                number = min(drawn + 1, len(order.items))
                report(f"picture {number} of {len(order.items)}", event.fraction, None)
            if cancelled() and drawn < len(order.items):
                raise Cancelled("Stopped; the pictures that were finished are kept.")
    return drawn
