"""The discrete noise schedule of SD1 and SDXL, and the sigmas and time steps that the WebUI's samplers walk through."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


class NoiseSchedule:
    """`alphas_cumprod` over the training steps, with k-diffusion's sigma = sqrt((1 - a) / a) (Karras et al. 2022).

    Args:
        beta_start: first beta ("linear_start" of the configuration).
        beta_end: last beta.
        steps: number of training steps.
    """

    def __init__(self, beta_start: float = 0.00085, beta_end: float = 0.012, steps: int = 1000) -> None:
        import torch

        betas = torch.linspace(beta_start**0.5, beta_end**0.5, steps, dtype=torch.float64) ** 2  # LDM's "linear"
        self.beta_start, self.beta_end, self.steps = beta_start, beta_end, steps
        self.alphas_cumprod: Tensor = torch.cumprod(1 - betas, dim=0).float()
        self.sigmas: Tensor = ((1 - self.alphas_cumprod) / self.alphas_cumprod) ** 0.5
        self._log_sigmas = self.sigmas.log()

    def sigma_to_t(self, sigma: Tensor) -> Tensor:
        """Time step (fractional) of a sigma, interpolated in log sigma."""
        log_sigma = sigma.log()
        low = (log_sigma - self._log_sigmas).ge(0).cumsum(dim=0).argmax(dim=0).clamp(max=self.steps - 2)
        below, above = self._log_sigmas[low], self._log_sigmas[low + 1]
        share = ((below - log_sigma) / (below - above)).clamp(0, 1)
        return (1 - share) * low + share * (low + 1)

    def t_to_sigma(self, t: Tensor) -> Tensor:
        """Sigma of a time step (fractional), interpolated in log sigma."""
        low, high, share = t.floor().long(), t.ceil().long(), t.frac()
        return ((1 - share) * self._log_sigmas[low] + share * self._log_sigmas[high]).exp()

    def alpha_at(self, t: Tensor) -> Tensor:
        """`alphas_cumprod` at a time step (fractional), interpolated in its logarithm, as UniPC has it."""
        low, high, share = t.floor().long(), t.ceil().long(), t.frac()
        logs = self.alphas_cumprod.log()
        return ((1 - share) * logs[low] + share * logs[high]).exp()

    def uniform_sigmas(self, steps: int) -> Tensor:
        """`(steps + 1,)`: even in time, zero at the end; the WebUI's "Automatic" for Euler and Heun."""
        import torch

        return _with_zero(self.t_to_sigma(torch.linspace(self.steps - 1, 0, steps)))

    def karras_sigmas(self, steps: int, rho: float = 7.0) -> Tensor:
        """`(steps + 1,)`: Karras et al. (2022), eq. 5."""
        import torch

        lowest, highest = self.sigmas[0].item() ** (1 / rho), self.sigmas[-1].item() ** (1 / rho)
        return _with_zero((highest + torch.linspace(0, 1, steps) * (lowest - highest)) ** rho)

    def ddim_timesteps(self, steps: int) -> Tensor:
        """Ascending time steps of the WebUI's DDIM: every (1000 // steps)-th plus one; one more than its moves."""
        import torch

        return torch.arange(0, self.steps, self.steps // min(max(steps, 2), self.steps)).add(1).clamp(0, self.steps - 1)


def _with_zero(sigmas: Tensor) -> Tensor:
    import torch

    return torch.cat([sigmas, sigmas.new_zeros(1)])
