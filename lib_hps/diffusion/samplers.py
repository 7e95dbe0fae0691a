"""The WebUI's samplers as generators over small steps, so that a caller can look in, stop, or go on at any of them.

Each takes `eps(x, t)`, the guided noise prediction for a latent in the model's own scaling, and starts from N(0, I)
noise of shape (B, C, H/8, W/8). Formulas and schedules are those of A1111 1.10 (k-diffusion; DDIM on time steps), so
that equal noise gives equal pictures there and here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from lib_hps.diffusion.schedules import NoiseSchedule
from lib_hps.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

Eps = Callable[["Tensor", "Tensor"], "Tensor"]
Draw = Callable[[], "Tensor"]


@dataclass(frozen=True)
class Step:
    """The state after one sampler step.

    Attributes:
        x: the latent; after the last step the finished one.
        x0: the running estimate of the finished latent.
    """

    x: Tensor
    x0: Tensor


@dataclass(frozen=True)
class Run:
    """What one sampler works with: the model, its schedule, the starting noise, and a source of in-loop noise.

    Attributes:
        latent: a finished latent to be changed (image to image); None draws from noise alone.
        skipped: steps at the schedule's beginning that are left out; only with `latent`.
    """

    eps: Eps
    schedule: NoiseSchedule
    noise: Tensor
    steps: int
    draw: Draw
    latent: Tensor | None = None
    skipped: int = 0

    def begin(self, sigmas: Tensor) -> tuple[Tensor, Tensor]:
        """Where k-diffusion's samplers start, x = latent + sigma * noise, and the sigmas that are left."""
        sigmas = sigmas.to(self.noise.device)[self.skipped :]
        noise = self.noise * sigmas[0]
        return (noise if self.latent is None else self.latent + noise), sigmas

    def begin_at(self, alpha: Tensor) -> Tensor:
        """Where samplers on time steps start: sqrt(a) * latent + sqrt(1 - a) * noise."""
        return self.noise if self.latent is None else alpha.sqrt() * self.latent + (1 - alpha).sqrt() * self.noise

    def denoise(self, x: Tensor, sigma: Tensor) -> Tensor:
        """x0 from a latent in k-diffusion's scaling x = x0 + sigma * noise."""
        t = self.schedule.sigma_to_t(sigma.cpu())
        return x - self.eps(x / (sigma**2 + 1) ** 0.5, t) * sigma


def ddim(run: Run) -> Iterator[Step]:
    """Song et al. (2021), eq. 12 with eta = 0.

    Image to image, A1111 noises up to one time step and begins the walk at the one below it; so do we.
    """
    timesteps = run.schedule.ddim_timesteps(run.steps)
    alphas = run.schedule.alphas_cumprod[timesteps].to(run.noise.device)
    first = len(timesteps) - 1 - run.skipped
    noised, top = (first, first) if run.latent is None else (max(first - 1, 0), max(first - 2, 1))
    x = run.begin_at(alphas[noised])
    for index in range(top, 0, -1):
        a_t, a_prev = alphas[index], alphas[max(index - 1, 0)]
        e_t = run.eps(x, timesteps[index].float())
        x0 = (x - (1 - a_t).sqrt() * e_t) / a_t.sqrt()
        x = a_prev.sqrt() * x0 + (1 - a_prev).sqrt() * e_t
        yield Step(x, x0)


def euler(run: Run) -> Iterator[Step]:
    """Karras et al. (2022), algorithm 2 without churn and correction."""
    x, sigmas = run.begin(run.schedule.uniform_sigmas(run.steps))
    for sigma, following in pairwise(sigmas):
        x0 = run.denoise(x, sigma)
        x = x + (x - x0) / sigma * (following - sigma)
        yield Step(x, x0)


def euler_ancestral(run: Run) -> Iterator[Step]:
    """Euler to a lower sigma, then fresh noise up to the schedule's (eta = 1)."""
    x, sigmas = run.begin(run.schedule.uniform_sigmas(run.steps))
    for sigma, following in pairwise(sigmas):
        x0 = run.denoise(x, sigma)
        up = (following**2 * (sigma**2 - following**2) / sigma**2) ** 0.5
        up = up.minimum(following)
        down = (following**2 - up**2) ** 0.5
        x = x + (x - x0) / sigma * (down - sigma)
        if following > 0:
            x = x + run.draw() * up
        yield Step(x, x0)


def heun(run: Run) -> Iterator[Step]:
    """Karras et al. (2022), algorithm 2 without churn: two model calls a step."""
    x, sigmas = run.begin(run.schedule.uniform_sigmas(run.steps))
    for sigma, following in pairwise(sigmas):
        x0 = run.denoise(x, sigma)
        slope = (x - x0) / sigma
        ahead = x + slope * (following - sigma)
        if following > 0:
            slope = (slope + (ahead - run.denoise(ahead, following)) / following) / 2
        x = x + slope * (following - sigma)
        yield Step(x, x0)


def _dpmpp_2m(run: Run, sigmas: Tensor) -> Iterator[Step]:
    """DPM-Solver++(2M), Lu et al. (2022), algorithm 2."""
    x, sigmas = run.begin(sigmas)
    before: Tensor | None = None
    for index in range(len(sigmas) - 1):
        x0 = run.denoise(x, sigmas[index])
        t, following = -sigmas[index].log(), -sigmas[index + 1].log()
        h = following - t
        if before is None or sigmas[index + 1] == 0:
            mixed = x0
        else:
            r = (t + sigmas[index - 1].log()) / h
            mixed = (1 + 1 / (2 * r)) * x0 - (1 / (2 * r)) * before
        x = (sigmas[index + 1] / sigmas[index]) * x - (-h).expm1() * mixed
        before = x0
        yield Step(x, x0)


def dpmpp_2m(run: Run) -> Iterator[Step]:
    """DPM++ 2M on the uniform schedule."""
    return _dpmpp_2m(run, run.schedule.uniform_sigmas(run.steps))


def dpmpp_2m_karras(run: Run) -> Iterator[Step]:
    """DPM++ 2M on Karras' schedule."""
    return _dpmpp_2m(run, run.schedule.karras_sigmas(run.steps))


def unipc(run: Run) -> Iterator[Step]:
    """UniPC (Zhao et al. 2023; bh1, order 3, even in time) through diffusers, down to the lowest sigma.

    Times are fractional, as A1111 has them. Image to image, it noises up to one of DDIM's time steps and begins the
    walk at the one below it; so do we.
    """
    import torch
    from diffusers import UniPCMultistepScheduler

    schedule, all_times = run.schedule, run.schedule.ddim_timesteps(run.steps)
    count, highest, x = len(all_times), float(schedule.steps - 1), run.noise
    if run.latent is not None:
        count = max(count - 1 - run.skipped, 1)
        highest = float(all_times[count - 1])
        x = run.begin_at(schedule.alphas_cumprod[all_times[min(count, len(all_times) - 1)]].to(x.device))
    times = torch.linspace(highest, 0, count + 1)
    alphas = schedule.alpha_at(times)
    scheduler: Any = UniPCMultistepScheduler(solver_order=3, solver_type="bh1")
    scheduler.set_timesteps(count)
    scheduler.sigmas = ((1 - alphas) / alphas).sqrt()  # its own are those of whole time steps
    scheduler.set_begin_index(0)
    for t, a_t in zip(times[:-1], alphas, strict=False):
        e_t = run.eps(x, t)
        x0 = (x - (1 - a_t).sqrt() * e_t) / a_t.sqrt()
        x = scheduler.step(e_t, t, x, return_dict=False)[0]
        yield Step(x, x0)


# what the WebUI's menu says -> the function, and the "Schedule type" of its infotext where it is not the plain one
SAMPLERS: dict[str, tuple[Callable[[Run], Iterator[Step]], str | None]] = {
    "DPM++ 2M Karras": (dpmpp_2m_karras, "Karras"),
    "DPM++ 2M": (dpmpp_2m, "Uniform"),
    "Euler a": (euler_ancestral, None),
    "Euler": (euler, None),
    "Heun": (heun, None),
    "DDIM": (ddim, None),
    "UniPC": (unipc, None),
}


def moves(sampler: str, steps: int, schedule: NoiseSchedule) -> int:
    """How many `Step`s a sampler will yield."""
    if sampler in ("DDIM", "UniPC"):
        return len(schedule.ddim_timesteps(steps)) - (sampler == "DDIM")
    return steps


def moves_left(sampler: str, steps: int, schedule: NoiseSchedule, skipped: int) -> int:
    """The same of image to image, where `skipped` steps are left out; DDIM and UniPC leave out more, see there."""
    return max(moves(sampler, steps, schedule) - skipped - {"DDIM": 2, "UniPC": 1}.get(sampler, 0), 1)


def check_sampler(name: str) -> str:
    """Give the name back if it is in the menu.

    Raises:
        InputError: it is not.
    """
    if name not in SAMPLERS:
        raise InputError(f"There is no sampler {name!r}. Choose one of: {', '.join(SAMPLERS)}.")
    return name
