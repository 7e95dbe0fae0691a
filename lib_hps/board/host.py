"""What the board needs of the program that it runs in."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True)
class Item:
    """One picture to be drawn.

    Attributes:
        index: of the candidate in the optimiser's order.
        recipe: its initial noise, a `NoiseRecipe` as text.
        infotext: parameters to be added to the picture's infotext.
    """

    index: int
    recipe: str
    infotext: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Order:
    """A round's pictures that are not there yet.

    Attributes:
        session: id.
        round: number of the round.
        settings: as the session has them.
        key: stands for the settings; comes back with each picture.
        seed: of the noise that samplers add in every step, the same for all candidates of a session.
        items: in the order in which they have to be drawn.
    """

    session: str
    round: int
    settings: Mapping[str, Any]
    key: str
    seed: int
    items: tuple[Item, ...]


@dataclass(frozen=True)
class FinalOrder:
    """A picture that is wanted at a larger size.

    Attributes:
        picture: the PNG that the host has drawn.
        item: its recipe; index 0.
        answers: rounds that were answered when it won.
        width, height: pixels wanted.
        strength: 0 keeps the picture, 1 draws it anew.
    """

    settings: Mapping[str, Any]
    seed: int
    picture: Path
    item: Item
    answers: int
    width: int
    height: int
    strength: float


@dataclass(frozen=True)
class Step:
    """A look at a running order: the share of it that is done, 0 to 1."""

    fraction: float


@dataclass(frozen=True)
class Arrived:
    """A finished picture: the candidate's index, RGB, and the infotext as the host writes it."""

    index: int
    image: Image
    infotext: str


@dataclass(frozen=True)
class ScorerLine:
    """A scorer by name, and whether it can score right now."""

    name: str
    is_available: bool


class Host(Protocol):
    """A program that draws and scores.

    Attributes:
        draws_itself: False where the pictures come from elsewhere (the WebUI's own Generate) through
            `BoardService.deliver`; `draw` is never called then.
        finishes_itself: the same for `finish`.
        final_strength: how much a second pass may change where nothing is said, 0 to 1.
    """

    draws_itself: bool
    finishes_itself: bool

    @property
    def final_strength(self) -> float:
        """See above."""

    def defaults(self) -> dict[str, Any]:
        """Settings of a new session, without "prompt"."""

    def samplers(self) -> list[str]:
        """Names for the setting "sampler"."""

    def check_settings(self, settings: Mapping[str, Any]) -> None:
        """Raise InputError for settings that cannot be drawn here."""

    def scorers(self) -> list[ScorerLine]:
        """All scorers that may be asked for by name, the default first."""

    def score(self, scorer: str, pictures: Sequence[Path], prompt: str) -> list[float]:
        """Scores by one scorer (no ensemble), higher is better."""

    def draw(self, order: Order) -> Generator[Step | Arrived, None, None]:
        """Draw, with a step as often as one may stop; to cancel, close it."""

    def finish(self, order: FinalOrder) -> Generator[Step | Arrived, None, None]:
        """Draw one picture at its full size from a finished one."""

    def keep(self, picture: Path) -> Path | None:
        """Put a finished picture where the user looks for pictures; None where it does not."""
