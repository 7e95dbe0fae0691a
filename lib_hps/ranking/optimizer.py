"""What every optimiser shares: ask, tell, the best so far, and a state that is nothing but the history."""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from lib_hps.errors import InputError
from lib_hps.noise import LARGEST_SEED, NoiseRecipe
from lib_hps.ranking.rankings import Ranking

Role = Literal["fresh", "explore", "step", "incumbent"]
SMALLEST_BATCH, LARGEST_BATCH = 2, 64


@dataclass(frozen=True)
class Candidate:
    """One picture to be shown.

    Attributes:
        recipe: its initial noise.
        role: "fresh": an unrelated noise; "explore": near the incumbent, to learn a direction; "step": a guess at
            something better; "incumbent": the best so far, shown again (its picture is already there).
    """

    recipe: NoiseRecipe
    role: Role


@dataclass(frozen=True)
class Round:
    """Candidates that were shown, and what was said of them."""

    candidates: tuple[Candidate, ...]
    ranking: Ranking


class Optimizer(abc.ABC):
    """Ask for candidates, tell how they rank, again and again.

    Deterministic from (seed, batch, parameters, answers). A subclass proposes from its own state and learns one round
    at a time; the state that is stored is the history itself, so replay, undo and resume are the same thing.

    Args:
        seed: of the first noise; the fresh noises that follow have seeds of their own, derived from it.
        batch: candidates in a round, the incumbent included.

    Raises:
        InputError: a seed or batch out of range.
    """

    name: ClassVar[str]

    def __init__(self, *, seed: int, batch: int) -> None:
        if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed <= LARGEST_SEED:
            raise InputError(f"The seed is {seed!r}; give a whole number from 0 to {LARGEST_SEED}.")
        if not isinstance(batch, int) or not SMALLEST_BATCH <= batch <= LARGEST_BATCH:
            raise InputError(f"The batch is {batch!r}; show {SMALLEST_BATCH} to {LARGEST_BATCH} candidates a round.")
        self.seed, self.batch = seed, batch
        self._history: list[Round] = []
        self._asked: tuple[Candidate, ...] | None = None
        self._incumbent = NoiseRecipe.single(seed)
        self._used = 0  # fresh noises so far

    @property
    def history(self) -> tuple[Round, ...]:
        """Every round that was told, the oldest first."""
        return tuple(self._history)

    @property
    def best(self) -> Candidate:
        """The incumbent: what won the last round that had a winner."""
        return Candidate(self._incumbent, "incumbent")

    def ask(self) -> list[Candidate]:
        """The candidates of this round; the same ones until `tell`."""
        if self._asked is None:
            self._asked = tuple(self._propose())
        return list(self._asked)

    def tell(self, ranking: Ranking) -> None:
        """Learn how the asked candidates rank; candidate i of the ranking is the i-th that was asked.

        Raises:
            InputError: nothing was asked, or the ranking is of another number of candidates.
        """
        if self._asked is None:
            raise InputError("There is nothing to answer yet: ask for candidates first.")
        if ranking.count != len(self._asked):
            raise InputError(
                f"The ranking is of {ranking.count} candidates, but {len(self._asked)} were shown. Rank those."
            )
        self._take(Round(self._asked, ranking))

    def state_dict(self) -> dict[str, Any]:
        """All there is to know, for JSON."""
        asked = None if self._asked is None else [_written(candidate) for candidate in self._asked]
        rounds = [
            {"candidates": [_written(c) for c in done.candidates], "ranking": done.ranking.to_dict()}
            for done in self._history
        ]
        return {"name": self.name, "seed": self.seed, "batch": self.batch, "rounds": rounds, "asked": asked}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up a state. The candidates that were shown count, whatever this version would have proposed.

        Raises:
            InputError: the state belongs to another optimiser, or is damaged; this optimiser is unchanged then.
        """
        mine = (self.name, self.seed, self.batch)
        theirs = tuple(state.get(key) for key in ("name", "seed", "batch"))
        if theirs != mine:
            raise InputError(f"The state is of the optimiser {theirs}, this one is {mine}. Make one like the former.")
        try:
            rounds = [
                Round(_read_all(each["candidates"]), Ranking.from_dict(each["ranking"])) for each in state["rounds"]
            ]
            asked = None if state["asked"] is None else _read_all(state["asked"])
        except (KeyError, TypeError) as error:
            raise InputError(f"The optimiser's state is damaged: {error!r} is missing or wrong.") from error
        for done in rounds:
            if len(done.candidates) != done.ranking.count:
                raise InputError("The optimiser's state is damaged: a ranking does not fit its candidates.")
        self._reset()
        for done in rounds:
            self._take(done)
        self._asked = asked
        if asked is not None:
            self._note_seeds(asked)

    @abc.abstractmethod
    def _propose(self) -> Sequence[Candidate]:
        """The next candidates, from the state alone; must not change it but for `_fresh`."""

    @abc.abstractmethod
    def _learn(self, done: Round) -> None:
        """Take one answered round into the state."""

    def _reset(self) -> None:
        """Forget everything that was told."""
        self._history, self._asked = [], None
        self._incumbent, self._used = NoiseRecipe.single(self.seed), 0

    def _take(self, done: Round) -> None:
        self._note_seeds(done.candidates)
        self._incumbent = winner_of(done, self._incumbent)
        self._learn(done)
        self._history.append(done)
        self._asked = None

    def _fresh(self) -> int:
        """A seed that was not used before: the session's own, then the ones after it."""
        seed = (self.seed + self._used) % (LARGEST_SEED + 1)
        self._used += 1
        return seed

    def _note_seeds(self, candidates: Sequence[Candidate]) -> None:
        """Seeds that a stored round used are not fresh any more."""
        for candidate in candidates:
            numbers = [(seed - self.seed) % (LARGEST_SEED + 1) for seed, _ in candidate.recipe.terms]
            self._used = max(self._used, max(numbers) + 1)


def winner_of(done: Round, incumbent: NoiseRecipe) -> NoiseRecipe:
    """The candidate that beats most of the others and that nobody beats; the incumbent where nothing is known of it."""
    best = done.ranking.best()
    if not best:
        return incumbent
    recipes = [candidate.recipe for candidate in done.candidates]
    if any(recipes[i] == incumbent for i in best):
        return incumbent
    weights = done.ranking.weights()
    return recipes[max(best, key=lambda i: (weights[i], -i))]


def _written(candidate: Candidate) -> dict[str, str]:
    return {"recipe": candidate.recipe.format(), "role": candidate.role}


def _read_all(written: Sequence[Mapping[str, str]]) -> tuple[Candidate, ...]:
    return tuple(Candidate(NoiseRecipe.parse(each["recipe"]), each["role"]) for each in written)  # type: ignore[arg-type]
