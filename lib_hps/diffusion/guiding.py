"""From a request's words to the noise prediction that they guide, with the LoRAs that the prompt asks for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lib_hps.diffusion.conditioning import encode
from lib_hps.diffusion.denoiser import Denoiser, Guidance
from lib_hps.diffusion.lora import LoraModel, LoraUse
from lib_hps.diffusion.lora_prompt import LoraFolder
from lib_hps.diffusion.request import GenerationRequest

if TYPE_CHECKING:
    from torch import Tensor

    from lib_hps.diffusion.loading import TextTower


@dataclass(frozen=True)
class Guided:
    """A noise predictor for one request.

    Attributes:
        infotext: what the words add to a picture's settings.
    """

    _denoiser: Denoiser
    _loras: LoraModel
    _uses: tuple[LoraUse, ...]
    _guidance: Guidance
    infotext: Mapping[str, str]

    def eps(self, x: Tensor, t: Tensor) -> Tensor:
        """As `Denoiser.guided_eps`. The LoRAs are put on here, so jobs may take turns at any step."""
        with self._loras.applied(self._uses, are_kept=True):
            return self._denoiser.guided_eps(x, t, self._guidance)


class Guide:
    """A model's towers, UNet and folder of LoRAs."""

    def __init__(
        self, towers: list[TextTower], denoiser: Denoiser, loras: LoraModel, folder: LoraFolder | None = None
    ) -> None:
        self._towers, self._denoiser, self.loras = towers, denoiser, loras
        self.folder = folder or LoraFolder(None)

    def read(self, request: GenerationRequest) -> tuple[str, tuple[LoraUse, ...]]:
        """The prompt to be encoded and the LoRAs, each read and matched.

        Raises:
            InputError, WeightsError: a LoRA that is not there or does not fit.
        """
        prompt, uses = self.folder.read(request.prompt)
        for use in uses:
            self.loras.check(use)
        return prompt, uses

    @contextmanager
    def guided(self, request: GenerationRequest) -> Iterator[Guided]:
        """Both prompts, encoded under the LoRAs; at the end the LoRAs are off.

        Raises:
            InputError, WeightsError: as `read`.
        """
        prompt, uses = self.read(request)
        with self.loras.applied(uses, are_kept=True):
            guidance = Guidance(
                encode(self._towers, prompt),
                encode(self._towers, request.negative, is_negative=True),
                request.cfg,
                (request.height, request.width),
            )
        try:
            yield Guided(self._denoiser, self.loras, uses, guidance, self.folder.hashes(uses))
        finally:
            self.loras.take_off()
