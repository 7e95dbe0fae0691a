"""Noise recipes: an initial noise as a short list of (seed, coefficient), on the shell where a model expects it.

Noises of different seeds are close to orthogonal (independent Gaussians in high dimension), so coefficients of unit
2-norm give a noise of the host's own length: `x = sum(c_i * eps(seed_i))`. No tensor is made here; the host draws.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, TypeVar

from lib_hps.errors import InputError

DIGITS = 4  # decimals of a written coefficient
LARGEST_SEED = 2**32 - 1  # the WebUI's range
_STEPS = 10**DIGITS
_STEP = 1 / _STEPS
_TERM = re.compile(r"(?<!\S)(\+?)([0-9]{1,10})\*(-?(?:1|0?\.[0-9]{1,4}))(?!\S)")

Noise = TypeVar("Noise")  # any array: NumPy, torch, ...


@dataclass(frozen=True)
class NoiseRecipe:
    """An initial noise, as text and as numbers.

    The coefficients are multiples of 10^-4, as they are written: what is parsed is what was generated. `mix` makes a
    recipe from any coefficients.

    Attributes:
        terms: (seed, coefficient), by rising seed, no coefficient 0, 2-norm 1 but for the rounding.

    Raises:
        InputError: a seed outside 0 to 2^32 - 1, seeds twice or unsorted, digits that cannot be written, another norm.
    """

    terms: tuple[tuple[int, float], ...]

    def __post_init__(self) -> None:
        for seed, coefficient in self.terms:
            if not math.isfinite(coefficient) or round(coefficient * _STEPS) / _STEPS != coefficient:
                raise InputError(
                    f"The coefficient {coefficient!r} of seed {seed} is no multiple of {_STEP:g}. "
                    "Make recipes with NoiseRecipe.mix, which rounds."
                )
        self._check()

    def _check(self) -> None:
        # all but the digits, which `mix` and `parse` get right
        seeds = [seed for seed, _ in self.terms]
        for seed in seeds if set(map(type, seeds)) != {int} else (min(seeds), max(seeds)):
            if type(seed) is not int or not 0 <= seed <= LARGEST_SEED:
                raise InputError(f"{seed!r} cannot be a seed. Give a whole number from 0 to {LARGEST_SEED}.")
        if any(map(operator.ge, seeds, seeds[1:])):
            raise InputError(f"The seeds {seeds} are not rising. Make recipes with NoiseRecipe.mix, which sorts.")
        coefficients = [coefficient for _, coefficient in self.terms]
        if 0 in coefficients:
            raise InputError(f"The coefficient of seed {seeds[coefficients.index(0)]} is 0. Leave the seed out.")
        squares = sum([coefficient * coefficient for coefficient in coefficients])
        if abs(squares - 1) > _norm_tolerance(len(seeds)):
            raise InputError(
                f"The coefficients of a noise recipe have the 2-norm {math.sqrt(squares):.4f}; it has to be 1. "
                "The text may have been cut off: copy it whole."
            )

    @classmethod
    def single(cls, seed: int) -> NoiseRecipe:
        """The noise of one seed, unchanged."""
        return cls(((seed, 1.0),))

    @classmethod
    def mix(cls, coefficients: Mapping[int, float] | Iterable[tuple[int, float]]) -> NoiseRecipe:
        """Normalise to unit 2-norm, round to the written digits, and drop what rounds to 0.

        Dropping and rounding move the noise by at most 0.5 * 10^-4 * sqrt(terms), relative to its length.

        Raises:
            InputError: nothing but zeros, or a number that is not finite.
        """
        items = dict(coefficients)
        norm = math.sqrt(sum([c * c for c in items.values()]))
        if not math.isfinite(norm) or norm == 0:
            raise InputError(f"Coefficients of the 2-norm {norm!r} cannot be made a noise. Give one that is not 0.")
        # k / 10^4 is the very float of the digits .kkkk
        steps = [(int(seed), round(c / norm * _STEPS)) for seed, c in items.items()]
        return cls._written(tuple(sorted([(seed, k / _STEPS) for seed, k in steps if k])))

    @classmethod
    def _written(cls, terms: tuple[tuple[int, float], ...]) -> NoiseRecipe:
        """Of coefficients that are known to have the written digits."""
        recipe = object.__new__(cls)
        object.__setattr__(recipe, "terms", terms)
        recipe._check()
        return recipe

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        return hash(self.terms)

    @classmethod
    def parse(cls, text: str) -> NoiseRecipe:
        """Read `format`'s text.

        Raises:
            InputError: it is not such a text; the first bad piece is named.
        """
        pieces, found = text.split(), _TERM.findall(text)
        if len(found) != len(pieces) or (found and found[0][0]):
            bad = next((piece for piece in pieces if not _TERM.fullmatch(piece)), pieces[0])
            raise InputError(
                f"{bad[:40]!r} is no term of a noise recipe. A recipe looks like '1234567*.8 +1*-.6': "
                "seed*coefficient, where +n means n more than the seed before."
            )
        if not found:
            raise InputError("The noise recipe is empty. It looks like '1234567*.8 +1*-.6'.")
        seeds, seed = [], 0
        for plus, number, _ in found:
            seed = seed + int(number) if plus else int(number)
            seeds.append(seed)
        return cls._written(tuple(zip(seeds, [float(coefficient) for _, _, coefficient in found], strict=True)))

    def format(self) -> str:
        """One line without commas, colons or quotes: `1234567*.8 +1*-.6`."""
        return self._text

    __str__ = format

    @cached_property
    def _text(self) -> str:
        pieces, before = [], 0
        for seed, coefficient in self.terms:
            full, step = str(seed), f"+{seed - before}"
            pieces.append(f"{step if len(step) < len(full) else full}*{_format_coefficient(coefficient)}")
            before = seed
        return " ".join(pieces)

    def realise(self, draw: Callable[[int], Noise]) -> Noise:
        """The noise itself: `sum(c * draw(seed))`, summed by rising seed.

        Args:
            draw: gives the host's own noise of a seed, an array of any shape and library (float32 or finer).

        Returns:
            For a recipe of one seed what `draw` gave, bit for bit.
        """
        (seed, coefficient), *rest = self.terms
        total: Any = draw(seed)
        if coefficient != 1.0:
            total = total * coefficient
        for seed, coefficient in rest:
            piece: Any = draw(seed)
            total = total + piece * coefficient
        return total

    def dot(self, other: NoiseRecipe) -> float:
        """Cosine of the angle to another recipe, as if seeds were exactly orthogonal."""
        mine = dict(self.terms)
        return sum(mine[seed] * coefficient for seed, coefficient in other.terms if seed in mine)

    def angle_rad(self, other: NoiseRecipe) -> float:
        """Angle to another recipe, 0 to pi."""
        return math.acos(max(-1.0, min(1.0, self.dot(other))))

    def towards(self, other: NoiseRecipe, angle_rad: float) -> NoiseRecipe:
        """Walk along the great circle to `other` (past it, or away from it with a negative angle).

        Raises:
            InputError: `other` is the same point or the opposite one, so that there is no direction.
        """
        cosine = self.dot(other)
        residual = dict(other.terms)
        if cosine:
            for seed, coefficient in self.terms:
                residual[seed] = residual.get(seed, 0.0) - cosine * coefficient
        length = math.sqrt(sum([c * c for c in residual.values()]))
        if length < 10 * _STEP:
            raise InputError(f"From {self} there is no direction to {other}: they lie on one line. Give another noise.")
        along, across = math.cos(angle_rad), math.sin(angle_rad) / length
        total = {seed: along * coefficient for seed, coefficient in self.terms}
        for seed, coefficient in residual.items():
            total[seed] = total.get(seed, 0.0) + across * coefficient
        return NoiseRecipe.mix(total)

    def pruned(self, most_characters: int) -> tuple[NoiseRecipe, float]:
        """Leave the smallest terms out until the text fits.

        Returns:
            The recipe, and by how much its noise is off at most, relative to the noise's length: dropping terms of
            the squared sum s turns the unit vector by asin(sqrt(s)), a chord of sqrt(2 - 2 sqrt(1 - s)); rounding adds.

        Raises:
            InputError: not even one term fits.
        """
        by_size = sorted(self.terms, key=lambda term: (abs(term[1]), term[0]))
        recipe, dropped = self, 0
        while len(recipe.format()) > most_characters:
            dropped += 1
            if dropped == len(by_size):
                raise InputError(f"A noise recipe does not fit into {most_characters} characters. Allow 20 at least.")
            recipe = NoiseRecipe.mix(by_size[dropped:])
        lost = sum(c * c for _, c in by_size[:dropped])
        rounding = 0.5 * _STEP * math.sqrt(len(self.terms)) if dropped else 0.0
        return recipe, math.sqrt(2 - 2 * math.sqrt(max(0.0, 1 - lost))) + 2 * rounding


def combine(parts: Iterable[tuple[NoiseRecipe, float]]) -> NoiseRecipe:
    """The normalised weighted sum of recipes.

    Raises:
        InputError: the parts cancel out.
    """
    total: dict[int, float] = {}
    for recipe, weight in parts:
        for seed, coefficient in recipe.terms:
            total[seed] = total.get(seed, 0.0) + weight * coefficient
    return NoiseRecipe.mix(total)


@lru_cache(maxsize=2 * _STEPS + 1)
def _format_coefficient(coefficient: float) -> str:
    text = f"{coefficient:.{DIGITS}f}".rstrip("0")
    return text[:-1] if text[-1] == "." else text.replace("0.", ".", 1)  # 1.0000 -> 1, -0.1200 -> -.12


def _norm_tolerance(terms: int) -> float:
    """How far rounding each of `terms` unit-norm coefficients can move the squared norm (twice over, for room)."""
    error = _STEP * math.sqrt(max(terms, 1))
    return 2 * error + error * error
