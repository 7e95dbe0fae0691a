"""Which pair to ask about next: the one whose answer is least certain, by what was said so far."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Mapping, Sequence

from lib_hps.ranking.rankings import Edge

_ROUNDS, _PRIOR = 30, 0.5


def strengths(names: Sequence[str], wins: Iterable[tuple[str, str]]) -> dict[str, tuple[float, int]]:
    """Bradley-Terry strengths (Hunter 2004, equation 3, with half a win and half a loss against an average picture).

    Args:
        names: of the pictures.
        wins: (winner, loser).

    Returns:
        name -> (log strength, comparisons).
    """
    won = dict.fromkeys(names, 0)
    met: dict[str, dict[str, int]] = {name: {} for name in names}
    for winner, loser in wins:
        if winner in won and loser in won and winner != loser:
            won[winner] += 1
            met[winner][loser] = met[winner].get(loser, 0) + 1
            met[loser][winner] = met[loser].get(winner, 0) + 1
    level = dict.fromkeys(names, 1.0)
    for _ in range(_ROUNDS):
        for name in names:
            spent = sum(n / (level[name] + level[other]) for other, n in met[name].items())
            level[name] = (won[name] + _PRIOR) / (spent + 2 * _PRIOR / (level[name] + 1.0))
    return {name: (math.log(level[name]), sum(met[name].values())) for name in names}


def worth(a: tuple[float, int], b: tuple[float, int]) -> float:
    """What an answer about two pictures is worth, in bits: the outcome's entropy, more for pictures seen rarely."""
    chance = 1 / (1 + math.exp(b[0] - a[0]))
    entropy = -sum(p * math.log2(p) for p in (chance, 1 - chance) if p > 0)
    return entropy * (1 / (1 + a[1]) + 1 / (1 + b[1]))


def next_group(
    groups: Mapping[str, Sequence[str]],
    answers: Iterable[Edge | tuple[str, str]],
    asked: Iterable[frozenset[str]],
    *,
    count: int,
    seed: int,
) -> tuple[str, list[str]] | None:
    """The prompt and the pictures to show next; None where everything was asked.

    Args:
        groups: prompt -> names of its pictures.
        answers: (winner, loser) so far.
        asked: sets that were shown already, the ones that ended in a tie among them.
        count: pictures to show at once, 2 or 4.
        seed: settles what is equal, and the positions.
    """
    chance, wins = random.Random(seed), [(str(a), str(b)) for a, b in answers]
    seen = set(asked)
    best: tuple[float, float, str, list[str]] | None = None
    for prompt, names in groups.items():
        if len(names) < 2:
            continue
        known = strengths(names, wins)
        fresh = sorted(names, key=lambda name: (known[name][1], chance.random()))
        for anchor in fresh[:16]:
            others = [name for name in fresh[:64] if name != anchor and frozenset((anchor, name)) not in seen]
            others.sort(key=lambda name: -worth(known[anchor], known[name]))
            shown = [anchor, *others[: count - 1]]
            if len(shown) < 2 or frozenset(shown) in seen:
                continue
            value = sum(worth(known[anchor], known[name]) for name in shown[1:]) / (len(shown) - 1)
            if best is None or (value, chance.random()) > best[:2]:
                best = (value, chance.random(), prompt, shown)
    if best is None:
        return None
    chance.shuffle(best[3])
    return best[2], best[3]
