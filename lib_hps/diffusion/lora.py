"""LoRA files on a loaded model: put on with a strength, taken off again to the last bit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any

from lib_hps.diffusion.lora_file import LoraFile, LoraPair, read_lora
from lib_hps.diffusion.lora_names import LoraNames, Module, Part
from lib_hps.errors import InputError, WeightsError

if TYPE_CHECKING:
    from torch import Tensor

_MOST_FILES = 4  # kept in memory
_NAMED_IN_ERRORS = 4


@dataclass(frozen=True)
class LoraUse:
    """One file with its strengths.

    Attributes:
        path: of the file.
        unet: strength on the UNet; 1 as trained, 0 none, negative the other way.
        text: strength on the text encoders.
    """

    path: Path
    unet: float = 1.0
    text: float = 1.0


class LoraModel:
    """A UNet and its text encoders that LoRA files can be put on.

    Only the weights that a LoRA changes are copied, and only while it is on. Jobs that take turns step by step do not
    see each other's LoRA: each step goes through `applied`.

    Args:
        unet: diffusers' UNet2DConditionModel.
        text_encoders: one for SD1 and SD2, two for SDXL (transformers' CLIP text models).
    """

    def __init__(self, unet: Any, text_encoders: Sequence[Any]) -> None:
        self.names = LoraNames.of(unet, is_sdxl=len(text_encoders) > 1)
        self._modules = _changeable(unet, text_encoders)
        self._originals: dict[Module, Tensor] = {}
        self._now: tuple[LoraUse, ...] = ()
        self._files: dict[tuple[Path, int, int], Mapping[Module, LoraPair]] = {}
        self._lock = RLock()

    def check(self, use: LoraUse) -> None:
        """Read a file and match it with the model, without changing anything.

        Raises:
            WeightsError: it cannot be read, or a key does not fit this model; named.
        """
        self._read(use.path)

    @contextmanager
    def applied(self, uses: Sequence[LoraUse], *, are_kept: bool = False) -> Iterator[None]:
        """The model with these files and no others, for as long as the block lasts.

        Args:
            uses: none for the model as it was loaded.
            are_kept: leave them on at the end, for the next block that wants the same; `take_off` ends that.

        Raises:
            WeightsError: as `check`; the model is then as it was.
        """
        wanted = tuple(use for use in uses if use.unet or use.text)
        with self._lock:
            if wanted != self._now:
                matched = [(use, self._read(use.path)) for use in wanted]
                self.take_off()
                self._put_on(matched)
                self._now = wanted
            try:
                yield
            finally:
                if not are_kept:
                    self.take_off()

    def take_off(self) -> None:
        """The weights as they were loaded, to the last bit."""
        with self._lock:
            for key, original in self._originals.items():
                self._modules[key].weight.data.copy_(original)
            self._originals, self._now = {}, ()

    def _put_on(self, matched: Sequence[tuple[LoraUse, Mapping[Module, LoraPair]]]) -> None:
        for use, pairs in matched:
            for key, pair in pairs.items():
                strength = use.unet if key[0] == "unet" else use.text
                if not strength:
                    continue
                weight = self._modules[key].weight.data
                if key not in self._originals:
                    self._originals[key] = weight.clone()
                here = LoraPair(
                    pair.down.to(weight.device),
                    pair.up.to(weight.device),
                    pair.alpha,
                    None if pair.mid is None else pair.mid.to(weight.device),
                )
                weight.copy_(weight.float() + strength * here.delta(tuple(weight.shape)))

    def _read(self, path: Path) -> Mapping[Module, LoraPair]:
        """From memory unless the file has changed since."""
        try:
            state = path.stat()
        except OSError as error:
            raise WeightsError(f"The LoRA {path} cannot be read: {error.strerror}.") from error
        key = (path, state.st_mtime_ns, state.st_size)
        if key not in self._files:
            self._files[key] = self.match(read_lora(path))
            for old in list(self._files)[:-_MOST_FILES]:
                del self._files[old]
        return self._files[key]

    def match(self, file: LoraFile) -> dict[Module, LoraPair]:
        """The file's pairs by the modules that they change.

        Raises:
            WeightsError: a name that is none of this model's, or a pair of another shape.
        """
        found: dict[Module, LoraPair] = {}
        unknown: list[str] = []
        for name, pair in file.pairs.items():
            key = self._key(name)
            if key is None:
                unknown.append(name)
                continue
            shape = tuple(self._modules[key].weight.shape)
            if not _fits(pair, shape):
                raise WeightsError(
                    f"{file.path}: {name} changes {pair.up.shape[0]} x {pair.down.shape[1]} weights, "
                    f"but the model has {shape[0]} x {shape[1]} there. The LoRA belongs to another base model."
                )
            if key in found:
                raise WeightsError(f"{file.path} names {'.'.join(key)} twice, the second time as {name}.")
            found[key] = pair
        if unknown:
            more = f" and {len(unknown) - _NAMED_IN_ERRORS} more" if len(unknown) > _NAMED_IN_ERRORS else ""
            raise WeightsError(
                f"{file.path} does not fit this model: it has no {', '.join(unknown[:_NAMED_IN_ERRORS])}{more}. "
                "Choose a LoRA that was made for it."
            )
        return found

    def _key(self, name: str) -> Module | None:
        try:
            part, path = self.names.read(name)
        except InputError:
            return None
        keys = ((part, path), (part, path.removeprefix("text_model.")))  # transformers 5 has no prefix
        return next((key for key in keys if key in self._modules), None)


def _changeable(unet: Any, text_encoders: Sequence[Any]) -> dict[Module, Any]:
    """Linear layers and convolutions by part and path; on a model with peft's adapters, the layers below them."""
    import torch

    parts: list[tuple[Part, Any]] = [("unet", unet)]
    names: tuple[Part, Part] = ("text_encoder", "text_encoder_2")
    parts += list(zip(names, text_encoders, strict=False))
    return {
        (part, path.removesuffix(".base_layer")): module
        for part, model in parts
        for path, module in model.named_modules()
        if isinstance(module, (torch.nn.Linear, torch.nn.Conv2d)) and ".lora_" not in path
    }


def _fits(pair: LoraPair, shape: tuple[int, ...]) -> bool:
    """Whether the pair changes a weight of `shape`, (out, in) or (out, in, kh, kw)."""
    kernel = tuple((pair.down if pair.mid is None else pair.mid).shape[2:])
    inside = pair.down.shape[1]
    return (
        pair.up.shape[0] == shape[0]
        and inside == shape[1]
        and (kernel == shape[2:] or {*kernel, *shape[2:]} <= {1})  # a linear layer may be a 1x1 convolution elsewhere
    )
