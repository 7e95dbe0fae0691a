"""What a session's events add up to. No clock, no file, no random number in here: equal events, equal state."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from lib_hps.ranking import Candidate, Ranking
from lib_hps.session.log import Event

# events that stay true when an answer is taken back
FACTS = frozenset({"created", "picture", "renamed", "final", "referenced"})


@dataclass(frozen=True)
class Asked:
    """A round: its candidates in the optimiser's order, and how they are shown.

    Attributes:
        shown: `shown[position]` is the candidate at that place of the screen; in a mixed round only the best few.
        scorer: who pre-ranks a mixed round, else None.
        scores: of the candidates, where that scorer has given them.
    """

    round: int
    candidates: tuple[Candidate, ...]
    shown: tuple[int, ...]
    scorer: str | None = None
    is_shortlisted: bool = True
    scores: tuple[float, ...] | None = None


@dataclass(frozen=True)
class Drawn:
    """A picture on the disk: of a recipe under settings."""

    recipe: str
    key: str
    file: str
    thumb: str


@dataclass(frozen=True)
class Answer:
    """A round and what was said of it.

    Attributes:
        event: its number in the log.
        order: tiers of numbers as shown (from 1), best first; None where the answer was no order.
        by: "person", or a scorer's name.
        best: the incumbent's recipe after it.
        picture: the incumbent's, None where it was never drawn.
        score, holdout: of the incumbent, by the scorer that answered and by the held-out one.
        change: what was changed in the settings since the answer before.
    """

    event: int
    asked: Asked
    ranking: Ranking
    order: tuple[tuple[int, ...], ...] | None
    by: str
    best: str
    picture: Drawn | None
    score: float | None = None
    holdout: float | None = None
    holdout_by: str | None = None
    change: str | None = None


@dataclass(frozen=True)
class Final:
    """The winner at its full size."""

    file: str
    thumb: str
    recipe: str
    round: int
    answers: int
    width: int
    height: int


@dataclass
class State:
    """The state of a session; changed by `apply` alone, and not at all once it was handed out."""

    id: str = ""
    name: str = ""
    created: str = ""
    updated: str = ""
    version: int = 0
    settings: dict[str, Any] = field(default_factory=dict)
    optimizer: dict[str, Any] = field(default_factory=dict)
    origin: dict[str, Any] | None = None
    answers: list[Answer] = field(default_factory=list)
    asked: Asked | None = None
    pictures: dict[tuple[str, str], Drawn] = field(default_factory=dict)
    finals: list[Final] = field(default_factory=list)
    references: dict[str, dict[str, Any]] = field(default_factory=dict)
    changes: list[str] = field(default_factory=list)
    decided: int = 0  # number of the last event that was a decision: another tab's knowledge may be older than that

    @property
    def round(self) -> int:
        """Number of the round that is being shown."""
        return len(self.answers) + 1

    @property
    def key(self) -> str:
        """Stands for the settings under which pictures are drawn now."""
        return settings_key(self.settings)

    @property
    def best(self) -> str | None:
        """The incumbent's recipe; None before the first answer."""
        return self.answers[-1].best if self.answers else None

    def picture(self, recipe: str) -> Drawn | None:
        """A recipe's picture under the present settings."""
        return self.pictures.get((self.key, recipe))

    def any_picture(self, recipe: str) -> Drawn | None:
        """A recipe's picture, under earlier settings if need be (the newest)."""
        found = self.picture(recipe)
        if found is None:
            found = next((drawn for drawn in reversed(self.pictures.values()) if drawn.recipe == recipe), None)
        return found

    def missing(self) -> list[int]:
        """Candidates whose picture is not there yet, in the order in which they are shown (drawing must not leak)."""
        if self.asked is None:
            return []
        order = self.asked.shown if self.asked.is_shortlisted else range(len(self.asked.candidates))
        lacking: dict[str, int] = {}  # two candidates may be the same noise: it is drawn once
        for index in order:
            recipe = self.asked.candidates[index].recipe.format()
            if self.picture(recipe) is None:
                lacking.setdefault(recipe, index)
        return list(lacking.values())

    def copy(self) -> State:
        """One that `apply` may change without touching this one."""
        twin = copy.copy(self)
        for name in ("answers", "pictures", "finals", "references", "changes"):
            setattr(twin, name, copy.copy(getattr(self, name)))
        return twin

    def to_dict(self) -> dict[str, Any]:
        """Everything, for comparison: equal states have equal dictionaries."""
        whole = {name: value for name, value in vars(self).items() if name not in ("pictures", "answers", "asked")}
        whole["finals"] = [asdict(final) for final in self.finals]
        whole["pictures"] = [asdict(drawn) for drawn in self.pictures.values()]
        whole["answers"] = [repr(answer) for answer in self.answers]
        whole["asked"] = repr(self.asked)
        return json.loads(json.dumps(whole))


def settings_key(settings: Mapping[str, Any]) -> str:
    """Twelve hex digits that differ where any setting differs."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]


def live_events(events: Iterable[Event]) -> list[Event]:
    """The log without what was taken back: an "undone" event drops the decisions after the event that it keeps."""
    live: list[Event] = []
    for event in events:
        if event["type"] == "undone":
            live = [old for old in live if old["n"] <= event["keeps"] or old["type"] in FACTS]
        else:
            live.append(event)
    return live
