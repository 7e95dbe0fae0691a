"""The low-rank layers: put into the frozen model by peft, switched off for the reference, read out for the file.

Shapes: down (rank, in[, kh, kw]), up (out, rank[, 1, 1]); a layer's change is alpha / rank * up @ down.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

from lib_hps.diffusion.lora_file import LoraPair
from lib_hps.errors import InputError

if TYPE_CHECKING:
    from lib_hps.diffusion.lora_names import Module, Part
    from lib_hps.training.lora.base import BaseModel

_NAME = "hps"
_ATTENTION = (".to_q", ".to_k", ".to_v", ".to_out.0")
_FEED_FORWARD = (".ff.net.0.proj", ".ff.net.2")
_TEXT = (".q_proj", ".k_proj", ".v_proj", ".out_proj")


class Adapter:
    """LoRA layers in a base model; the base's modules are changed in place.

    Args:
        base: frozen.
        rank: of every layer.
        alpha: scale = alpha / rank.
        targets: of `config.TARGETS`.
        has_text: adapt the text encoders too.
        seed: of the layers' beginning; up is zero, so the model draws as before.

    Raises:
        InputError: the base has none of the layers asked for.
    """

    def __init__(
        self, base: BaseModel, *, rank: int, alpha: float, targets: Sequence[str], has_text: bool, seed: int
    ) -> None:
        from peft import LoraConfig, inject_adapter_in_model

        self.rank, self.alpha = rank, alpha
        parts: list[tuple[Part, Any, list[str]]] = [("unet", base.unet, layers_of(base.unet, targets))]
        if has_text:
            names: tuple[Part, Part] = ("text_encoder", "text_encoder_2")
            parts += [
                (name, tower.model, layers_of(tower.model, None))
                for name, tower in zip(names, base.towers, strict=False)
            ]
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            for name, model, layers in parts:
                if not layers:
                    raise InputError(f"{base.path} has no layers of {', '.join(targets)} in its {name}.")
                settings = LoraConfig(r=rank, lora_alpha=alpha, target_modules=layers, lora_dropout=0.0)  # type: ignore[arg-type]
                inject_adapter_in_model(settings, model, adapter_name=_NAME)
        self._layers: dict[Module, Any] = {
            (name, path): module
            for name, model, _ in parts
            for path, module in model.named_modules()
            if _NAME in getattr(module, "lora_A", {})
        }
        for parameter in self.parameters():
            parameter.data = parameter.data.float()  # trained in full precision whatever the base is in
            parameter.requires_grad_(True)

    def parameters(self) -> Iterator[torch.nn.Parameter]:
        """All that is trained."""
        for layer in self._layers.values():
            yield layer.lora_A[_NAME].weight
            yield layer.lora_B[_NAME].weight

    @contextmanager
    def off(self) -> Iterator[None]:
        """The base model inside, to the last bit."""
        self._scale(0.0)
        try:
            yield
        finally:
            self._scale(1.0)

    def _scale(self, factor: float) -> None:
        for layer in self._layers.values():
            layer.set_scale(_NAME, factor)

    def limit(self, largest: float) -> int:
        """Shrink every layer whose change has a larger Frobenius norm to that norm; give how many there were."""
        count = 0
        with torch.no_grad():
            for layer in self._layers.values():
                down, up = layer.lora_A[_NAME].weight, layer.lora_B[_NAME].weight
                norm = self._norm(down.flatten(1), up.flatten(1))
                if norm > largest:
                    factor = (largest / norm) ** 0.5
                    down.mul_(factor)
                    up.mul_(factor)
                    count += 1
        return count

    def norms(self) -> list[float]:
        """Frobenius norm of every layer's change."""
        with torch.no_grad():
            return [self._norm(pair.down.flatten(1), pair.up.flatten(1)) for pair in self.pairs().values()]

    def _norm(self, down: torch.Tensor, up: torch.Tensor) -> float:
        # |up @ down|^2 = sum((up^T up) * (down down^T)): (rank, rank) each, never (out, in)
        squared = float(((up.T @ up) * (down @ down.T)).sum())
        return self.alpha / self.rank * max(squared, 0.0) ** 0.5

    def pairs(self) -> dict[Module, LoraPair]:
        """What was learned, by the module that it changes; copies on the CPU, float32."""
        return {
            key: LoraPair(_copy(layer.lora_A[_NAME].weight), _copy(layer.lora_B[_NAME].weight), self.alpha)
            for key, layer in self._layers.items()
        }


def layers_of(model: torch.nn.Module, targets: Sequence[str] | None) -> list[str]:
    """Paths of the layers that are adapted: of a UNet by `targets`, of a text encoder (None) its attention."""
    if targets is None:
        return _layers(model, _TEXT)
    found = []
    if "attention" in targets:
        found += _layers(model, _ATTENTION)
    if "feed-forward" in targets:
        found += _layers(model, _FEED_FORWARD)
    if "conv" in targets:
        found += [
            path
            for path, module in model.named_modules()
            if isinstance(module, torch.nn.Conv2d) and "." in path and "resnets" in path
        ]
    return found


def _layers(model: torch.nn.Module, endings: tuple[str, ...]) -> list[str]:
    return [
        path for path, module in model.named_modules() if path.endswith(endings) and isinstance(module, torch.nn.Linear)
    ]


def _copy(weight: torch.Tensor) -> torch.Tensor:
    return weight.detach().float().cpu().clone()
