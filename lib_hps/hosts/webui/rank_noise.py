"""Noise recipes in the place of the noise that the host has drawn for the first step of sampling.

Where it goes in: `Script.process_before_every_sampling`, else a stand-in for `p.rng`. Everything else stays the
host's: the noise that samplers add in every step, variation seeds, seed resize, the noise of hires fix.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from modules import shared

from lib_hps.errors import HpsError
from lib_hps.noise import NoiseRecipe

from . import features

if TYPE_CHECKING:
    from torch import Tensor

_ATTRIBUTE = "hps_noise"
_CELL_PX = 8


@dataclass
class NoisePlan:
    """The recipes of one `process_images`, one for each of its pictures.

    Attributes:
        done: numbers of the batches that got theirs.
        failure: why one did not; hosts swallow what a hook raises, so it is raised by `check`.
    """

    recipes: Sequence[NoiseRecipe]
    done: set[int] = field(default_factory=set)
    failure: Exception | None = None

    def check(self, *, batches: int) -> None:
        """Behind a generation that was not interrupted: refuse pictures that were drawn from other noise.

        Raises:
            HpsError: the noise did not get in.
        """
        if self.failure is not None:
            raise HpsError(f"The noise recipe could not be used: {self.failure}") from self.failure
        if len(self.done) < batches:
            raise HpsError(
                "This WebUI has drawn without asking for our noise, so the pictures are not those of their recipes. "
                "Switch off other extensions that replace sampling, and try again."
            )


def plan_noise(p: Any, recipes: Sequence[NoiseRecipe]) -> NoisePlan:
    """Have `p` drawn from these recipes, in the order of its pictures."""
    plan = NoisePlan(tuple(recipes))
    setattr(p, _ATTRIBUTE, plan)
    return plan


def plan_of(p: Any) -> NoisePlan | None:
    """The plan that `p` follows, if any."""
    return getattr(p, _ATTRIBUTE, None)


def put_in(p: Any, noise: Tensor | None) -> None:
    """The hook: write our noise over the host's; the same again if it is called again, nothing in hires fix's pass."""
    plan = plan_of(p)
    if plan is None or noise is None or getattr(p, "is_hr_pass", False) or not features.has_noise_hook():
        return
    try:
        mine = _batch_noise(p, plan)
        factor = getattr(p, "initial_noise_multiplier", None)
        noise.copy_(mine if factor in (None, 1.0) else mine * factor)
        plan.done.add(p.iteration)
    except Exception as error:  # noqa: BLE001 - the host swallows what a hook raises, and draws the wrong picture
        plan.failure = error
        shared.state.interrupt()


def replace_rng(p: Any) -> None:
    """Before a batch, on hosts without the hook: let `p.rng` give our noise first, and then go on as it would."""
    plan = plan_of(p)
    if plan is not None and not features.has_noise_hook():
        p.rng = _RecipeRng(p, plan)


class _RecipeRng:
    """The host's generator, but for the first noise of a batch."""

    def __init__(self, p: Any, plan: NoisePlan) -> None:
        self._p, self._plan, self._rng = p, plan, p.rng

    def next(self) -> Tensor:
        first = self._rng.is_first
        theirs = self._rng.next()  # also where ours is taken: the streams of the steps go on behind it
        if not first:
            return theirs
        try:
            ours = _batch_noise(self._p, self._plan, self._rng)
            self._plan.done.add(self._p.iteration)
            return ours
        except Exception as error:
            self._plan.failure = error
            raise

    def __getattr__(self, name: str) -> Any:
        return getattr(self._rng, name)


def _batch_noise(p: Any, plan: NoisePlan, rng: Any = None) -> Tensor:
    """(B, C, H/8, W/8) float32 for the present batch, where the host's own would lie."""
    import torch
    from modules import rng as host_rng

    rng = p.rng if rng is None else rng
    first = p.iteration * p.batch_size
    recipes = plan.recipes[first : first + len(rng.seeds)]
    if len(recipes) != len(rng.seeds):
        raise HpsError(f"there are {len(plan.recipes)} recipes, but picture {first + len(rng.seeds)} is drawn")
    noise = torch.stack([_initial_noise(rng, recipe, place, host_rng) for place, recipe in enumerate(recipes)])
    host_rng.manual_seed(rng.seeds[-1])  # the global generator as the host's own first noise leaves it
    return noise


def _initial_noise(rng: Any, recipe: NoiseRecipe, place: int, host_rng: Any) -> Tensor:
    """(C, H/8, W/8): what `rng` gives first for its picture `place`, if the noise of a seed is that of the recipe.

    Variation and resize come after the mixing: they are about one noise of the model's own length.
    """

    def plain(seed: int, shape: tuple[int, ...]) -> Tensor:
        noise: Tensor = host_rng.ImageRNG(shape, [seed]).first()[0]
        return noise

    def mixed(shape: tuple[int, ...]) -> Tensor:
        return recipe.realise(lambda seed: plain(seed, shape))

    small = rng.shape
    if rng.seed_resize_from_h > 0 and rng.seed_resize_from_w > 0:
        small = (rng.shape[0], int(rng.seed_resize_from_h) // _CELL_PX, int(rng.seed_resize_from_w) // _CELL_PX)
    noise = mixed(small)
    if rng.subseeds is not None and rng.subseed_strength != 0:
        subseed = rng.subseeds[place] if place < len(rng.subseeds) else 0
        noise = host_rng.slerp(rng.subseed_strength, noise, plain(subseed, small))
    return noise if small == rng.shape else _centred(noise, mixed(rng.shape))


def _centred(inner: Tensor, outer: Tensor) -> Tensor:
    """`outer` with the middle of `inner` in its middle, as seed resize has it."""
    result = outer.clone()
    slices = [_overlap(mine, whole) for mine, whole in zip(inner.shape[1:], outer.shape[1:], strict=True)]
    (rows_in, rows), (columns_in, columns) = slices
    result[:, rows, columns] = inner[:, rows_in, columns_in]
    return result


def _overlap(inner: int, outer: int) -> tuple[slice, slice]:
    """Which part of the inner side goes where on the outer one."""
    shift = (outer - inner) // 2
    length = inner if shift >= 0 else inner + 2 * shift
    start_in, start = max(-shift, 0), max(shift, 0)
    return slice(start_in, start_in + length), slice(start, start + length)
