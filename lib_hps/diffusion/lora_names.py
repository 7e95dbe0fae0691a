"""What modules are called in LoRA files: the paths of diffusers and transformers <-> the names that WebUIs read.

    SD1, SD2  lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q     (diffusers' names)
    SDXL      lora_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q               (LDM's names, as kohya's trainer)
    text      lora_te_text_model_encoder_layers_0_self_attn_q_proj, SDXL: lora_te1_..., lora_te2_...

A1111 turns diffusers' names into LDM's by counting two residual blocks a level. For a UNet with another number of them
its count would name a wrong module, so LDM's names are written for those.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from lib_hps.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

Part = Literal["unet", "text_encoder", "text_encoder_2"]
Module = tuple[Part, str]  # a part of the model and the dotted path in it
# names that hold underscores of their own; every other piece between underscores is a step of the path
_WORDS = re.compile(
    "down_blocks|up_blocks|mid_block|input_blocks|output_blocks|middle_block|transformer_blocks|transformer_layers|"
    "conv_in|conv_out|conv_shortcut|conv_norm_out|time_embedding|time_emb_proj|time_embed|label_emb|add_embedding|"
    "linear_[0-9]+|in_layers|out_layers|emb_layers|skip_connection|proj_in|proj_out|to_out|to_[qkv]|text_model|"
    "text_projection|self_attn|[qkv]_proj|out_proj|[a-z]+[0-9]*|[0-9]+"
)
_RESNET = {
    "conv1": "in_layers.2",
    "conv2": "out_layers.3",
    "time_emb_proj": "emb_layers.1",
    "conv_shortcut": "skip_connection",
}
_TOP = {
    "conv_in": "input_blocks.0.0",
    "conv_out": "out.2",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
}
_MIDDLE = {"resnets.0": "0", "attentions.0": "1", "resnets.1": "2"}
_STANDARD_PER_LEVEL = 2
_TEXT = "text_model."


def dotted(name: str) -> str:
    """`down_blocks_0_attentions_0` -> `down_blocks.0.attentions.0`.

    Raises:
        InputError: a letter that no such name holds.
    """
    words = _WORDS.findall(name)
    if "_".join(words) != name:
        raise InputError(f"{name!r} is no module's name.")
    return ".".join(words)


@dataclass(frozen=True)
class LoraNames:
    """The names of one architecture.

    Attributes:
        is_sdxl: two text encoders, and LDM's names for the UNet.
        per_level: residual blocks of a level of the UNet ("layers_per_block").
        up_attention: for every up block, whether it attends: LDM counts the modules of a block.
    """

    is_sdxl: bool = False
    per_level: int = _STANDARD_PER_LEVEL
    up_attention: tuple[bool, ...] = (False, True, True, True)

    @classmethod
    def of(cls, unet: Any, *, is_sdxl: bool) -> LoraNames:
        """Those of a loaded UNet2DConditionModel."""
        config = unet.config
        return cls(is_sdxl, config["layers_per_block"], tuple("Attn" in kind for kind in config["up_block_types"]))

    @classmethod
    def standard(cls, *, is_sdxl: bool) -> LoraNames:
        """Those of SD1 and SD2, or of SDXL, in their published size."""
        return cls(True, up_attention=(True, True, False)) if is_sdxl else cls()

    @property
    def has_ldm_names(self) -> bool:
        """Whether the UNet's modules are written by LDM's names."""
        return self.is_sdxl or self.per_level != _STANDARD_PER_LEVEL

    def write(self, part: Part, path: str) -> str:
        """The name of a module in a file, without `.lora_down.weight`.

        Args:
            part: of the model.
            path: dotted, such as `mid_block.attentions.0.proj_in` or `text_model.encoder.layers.0.mlp.fc1`.

        Raises:
            InputError: no such module can be named.
        """
        if part == "unet":
            named = self._to_ldm(path) if self.has_ldm_names else path
            return "lora_unet_" + named.replace(".", "_")
        number = {"text_encoder": 1, "text_encoder_2": 2}[part] if self.is_sdxl else ""
        if part == "text_encoder_2" and not self.is_sdxl:
            raise InputError(f"{path}: only SDXL has a second text encoder.")
        path = path if path.startswith((_TEXT, "text_projection")) else _TEXT + path
        return f"lora_te{number}_" + path.replace(".", "_")

    def read(self, name: str) -> Module:
        """The module that a name in a file stands for; LDM's and diffusers' names alike.

        Raises:
            InputError: no module of such an architecture has that name.
        """
        for prefix, part in self._prefixes():
            if name.startswith(prefix):
                path = dotted(name.removeprefix(prefix))
                return part, self._to_diffusers(path) if part == "unet" else path
        raise InputError(f"{name!r} is no name of a LoRA for {'SDXL' if self.is_sdxl else 'SD1 or SD2'}.")

    def _prefixes(self) -> Sequence[tuple[str, Part]]:
        text: list[tuple[str, Part]] = [("lora_te_", "text_encoder")]
        if self.is_sdxl:
            text = [("lora_te1_", "text_encoder"), ("lora_te2_", "text_encoder_2")]
        return [("lora_unet_", "unet"), *text]

    def _to_ldm(self, path: str) -> str:
        """`up_blocks.1.attentions.0.proj_in` -> `output_blocks.3.1.proj_in`."""
        if path in _TOP:
            return _TOP[path]
        pieces = path.split(".")
        try:
            if pieces[0] == "mid_block":
                stem = "middle_block." + _MIDDLE[".".join(pieces[1:3])]
                return _inner(stem, pieces[1], pieces[3:])
            level, kind, index = int(pieces[1]), pieces[2], int(pieces[3])
            first = level * (self.per_level + 1)
            if pieces[0] == "down_blocks":
                if kind == "downsamplers":
                    return f"input_blocks.{1 + first + self.per_level}.0.op"
                return _inner(f"input_blocks.{1 + first + index}.{_slot(kind)}", kind, pieces[4:])
            if pieces[0] == "up_blocks":
                if kind == "upsamplers":
                    return f"output_blocks.{first + self.per_level}.{2 if self.up_attention[level] else 1}.conv"
                return _inner(f"output_blocks.{first + index}.{_slot(kind)}", kind, pieces[4:])
        except (KeyError, ValueError, IndexError):
            pass
        raise InputError(f"{path!r} is no module of a UNet that a LoRA can change.")

    def _to_diffusers(self, path: str) -> str:
        """The other way; a path of diffusers comes back as it is."""
        inverse = {ldm: ours for ours, ldm in _TOP.items()}
        if path in inverse:
            return inverse[path]
        pieces = path.split(".")
        try:
            if pieces[0] == "middle_block":
                stem = {number: ours for ours, number in _MIDDLE.items()}[pieces[1]]
                return f"mid_block.{stem}." + _outer(stem.split(".")[0], pieces[2:])
            if pieces[0] not in ("input_blocks", "output_blocks"):
                return path
            is_down = pieces[0] == "input_blocks"
            level, index = divmod(int(pieces[1]) - is_down, self.per_level + 1)
            slot, rest = int(pieces[2]), pieces[3:]
            stem = f"{'down' if is_down else 'up'}_blocks.{level}"
            if rest in (["op"], ["conv"]):
                return f"{stem}.{'downsamplers' if is_down else 'upsamplers'}.0.conv"
            kind = ("resnets", "attentions")[slot]
            return f"{stem}.{kind}.{index}." + _outer(kind, rest)
        except (KeyError, ValueError, IndexError):
            raise InputError(f"{path!r} is no module of a UNet that a LoRA can change.") from None


def _slot(kind: str) -> str:
    return {"resnets": "0", "attentions": "1"}[kind]


def _inner(stem: str, kind: str, rest: list[str]) -> str:
    inside = ".".join(rest)
    return f"{stem}.{_RESNET[inside] if kind == 'resnets' else inside}"


def _outer(kind: str, rest: list[str]) -> str:
    inside = ".".join(rest)
    return {ldm: ours for ours, ldm in _RESNET.items()}[inside] if kind == "resnets" else inside
