"""What a step minimises: the denoising error, weighted (min-SNR), or compared between two pictures (Diffusion-DPO).

Shapes: x0, noise, predictions (B, C, h, w); t (B,) whole time steps; errors and weights (B,).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch.nn.functional as F

if TYPE_CHECKING:
    from torch import Tensor

    from lib_hps.diffusion.schedules import NoiseSchedule


class Diffusion:
    """Forward process and targets of one base model.

    Args:
        schedule: that it was trained with.
        is_v: it predicts v (Salimans & Ho 2022), not eps.
    """

    def __init__(self, schedule: NoiseSchedule, *, is_v: bool) -> None:
        self._alphas, self._is_v = schedule.alphas_cumprod, is_v
        self.steps = schedule.steps

    def noisy(self, x0: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """x_t = sqrt(a_t) x0 + sqrt(1 - a_t) noise (DDPM, eq. 4)."""
        a = self._at(t, x0)
        return a.sqrt() * x0 + (1 - a).sqrt() * noise

    def target(self, x0: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """What the model should say at x_t: the noise, or v = sqrt(a_t) noise - sqrt(1 - a_t) x0."""
        if not self._is_v:
            return noise
        a = self._at(t, x0)
        return a.sqrt() * noise - (1 - a).sqrt() * x0

    def snr_weight(self, t: Tensor, gamma: float) -> Tensor:
        """(B,) of min-SNR-gamma (arXiv 2303.09556): min(snr, gamma) / snr for eps, / (snr + 1) for v."""
        a = self._alphas.to(t.device)[t]
        snr = a / (1 - a)
        return snr.clamp(max=gamma) / (snr + 1 if self._is_v else snr)

    def _at(self, t: Tensor, like: Tensor) -> Tensor:
        return self._alphas.to(like)[t][:, None, None, None]


def errors(prediction: Tensor, target: Tensor) -> Tensor:
    """(B,) mean squared error of each example, float32."""
    return F.mse_loss(prediction.float(), target.float(), reduction="none").mean(dim=(1, 2, 3))


def dpo_loss(model: Tensor, reference: Tensor, beta: float) -> tuple[Tensor, dict[str, float]]:
    """Diffusion-DPO (arXiv 2311.12908, eq. 14), with mean errors and beta as in its public code.

    -log sigmoid(-beta / 2 * ((m_w - r_w) - (m_l - r_l))): the error on the winner should fall below the reference's
    by more than the error on the loser does.

    Args:
        model: (2, B) errors of the adapted model, winners first.
        reference: (2, B) of the base, on the same noisy pictures.
        beta: how much a difference counts.

    Returns:
        The mean loss, and for the log: implicit accuracy (the share of pairs that are ordered rightly), and the change
        of the winners' and of the losers' error against the base.
    """
    winner, loser = (model - reference).unbind(0)
    margin = -0.5 * beta * (winner - loser)
    figures = {
        "implicit accuracy": float((margin > 0).float().mean() + 0.5 * (margin == 0).float().mean()),
        "winner error": float(model[0].detach().mean()),
        "loser error": float(model[1].detach().mean()),
        "winner change": float(winner.detach().mean()),
        "loser change": float(loser.detach().mean()),
    }
    return -F.logsigmoid(margin).mean(), figures
