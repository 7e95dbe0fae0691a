"""The shapes of a CLIP model: validated, readable as JSON, and inferred from the weights themselves. No torch here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from lib_hps.errors import InputError

CONFIG_KEY = "hps_config"  # under it a weight file's metadata may state its own configuration as JSON


def _require_positive(owner: object, names: str) -> None:
    """Refuse every named field that is not a positive integer."""
    for name in names.split():
        value = getattr(owner, name)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise InputError(f"{type(owner).__name__}.{name} must be a positive integer, got {value!r}.")


def _require_heads(owner: object, width: int, heads: int) -> None:
    if width % heads:
        raise InputError(f"{type(owner).__name__}: {heads} heads do not divide the width {width}. Give other heads.")


@dataclass(frozen=True, kw_only=True)
class VisionConfig:
    """The image tower: a vision transformer ("vit") or CLIP's modified ResNet ("resnet").

    For a ViT `layers` is the number of blocks. For a ResNet it is the blocks of the four stages, `width` that of the
    stem, `heads` those of the attention pool, and `patch_size` and `mlp_width` are None.
    """

    kind: Literal["vit", "resnet"] = "vit"
    image_size: int
    width: int
    layers: int | tuple[int, ...]
    heads: int
    patch_size: int | None = None
    mlp_width: int | None = None

    def __post_init__(self) -> None:
        _require_positive(self, "image_size width heads")
        if self.kind == "vit":
            _require_positive(self, "layers patch_size mlp_width")
            _require_heads(self, self.width, self.heads)
            if self.image_size % (self.patch_size or 1):
                raise InputError(f"VisionConfig.image_size {self.image_size} is no multiple of {self.patch_size=}.")
        elif self.kind == "resnet":
            if not isinstance(self.layers, tuple) or len(self.layers) != 4 or min(self.layers) < 1:
                raise InputError(
                    f"VisionConfig.layers of a resnet must be four positive integers, got {self.layers!r}."
                )
            _require_heads(self, self.width * 32, self.heads)
            if self.image_size % 32 or self.width % 2:
                raise InputError(f"A resnet needs image_size % 32 == 0 and an even width, got {self}.")
        else:
            raise InputError(f"VisionConfig.kind must be 'vit' or 'resnet', got {self.kind!r}.")

    @property
    def grid(self) -> int:
        """Cells along one side of the feature map: patches of a ViT, positions of a ResNet's last stage."""
        return self.image_size // (self.patch_size if self.kind == "vit" and self.patch_size else 32)


@dataclass(frozen=True, kw_only=True)
class TextConfig:
    """The text tower, a causal transformer."""

    vocab_size: int
    context_length: int
    width: int
    layers: int
    heads: int
    mlp_width: int

    def __post_init__(self) -> None:
        _require_positive(self, "vocab_size context_length width layers heads mlp_width")
        _require_heads(self, self.width, self.heads)


@dataclass(frozen=True, kw_only=True)
class ClipConfig:
    """A whole CLIP model; `quick_gelu` is x * sigmoid(1.702 x), which no weight file reveals by its shapes."""

    embed_dim: int
    vision: VisionConfig
    text: TextConfig
    quick_gelu: bool = False

    def __post_init__(self) -> None:
        _require_positive(self, "embed_dim")

    def to_json(self) -> str:
        """The text form kept under `hps_config` in a weight file's metadata."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> ClipConfig:
        """Read what `to_json` wrote.

        Raises:
            InputError: not JSON, or fields missing, unknown or out of range.
        """
        try:
            fields: dict[str, Any] = json.loads(text)
            vision = dict(fields.pop("vision"))
            if isinstance(vision.get("layers"), list):
                vision["layers"] = tuple(vision["layers"])
            return cls(vision=VisionConfig(**vision), text=TextConfig(**fields.pop("text")), **fields)
        except InputError:
            raise
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(f"{CONFIG_KEY} is not a CLIP configuration ({error}): {text[:200]!r}.") from error


Shapes = Mapping[str, tuple[int, ...]]
# Image towers whose attention heads are not 64 wide, by the tower's width: ViT-H/14, ViT-g/14, ViT-bigG/14, ViT-e/14
# (open_clip's model_configs/*.json, "head_width").
_HEAD_WIDTHS = {1280: 80, 1408: 88, 1664: 104, 1792: 112}


def _count(shapes: Shapes, prefix: str) -> int:
    """How many distinct numbered modules stand directly under `prefix`, such as "transformer.resblocks."."""
    return len({name[len(prefix) :].split(".", 1)[0] for name in shapes if name.startswith(prefix)})


def _heads(width: int, head_width: int, tower: str) -> int:
    if width % head_width:
        raise InputError(
            f"Cannot tell the heads of the {tower} tower: its width {width} is no multiple of {head_width}. "
            f"Give head_width, or state the configuration under {CONFIG_KEY!r} in the file's metadata."
        )
    return width // head_width


def _square_root(positions: int, what: str) -> int:
    side = round(max(positions, 0) ** 0.5)
    if side < 1 or side * side != positions:
        raise InputError(f"{what} has {positions} positions, which make no square grid.")
    return side


def _vision_from_shapes(shapes: Shapes, head_width: int | None) -> VisionConfig:
    if "visual.layer1.0.conv1.weight" in shapes:
        width = shapes["visual.layer1.0.conv1.weight"][0]
        side = _square_root(shapes["visual.attnpool.positional_embedding"][0] - 1, "visual.attnpool")
        layers = tuple(_count(shapes, f"visual.layer{stage}.") for stage in (1, 2, 3, 4))
        heads = _heads(width * 32, head_width or 64, "image")
        return VisionConfig(kind="resnet", image_size=side * 32, width=width, layers=layers, heads=heads)
    width, _, patch_size, _ = shapes["visual.conv1.weight"]
    side = _square_root(shapes["visual.positional_embedding"][0] - 1, "visual.positional_embedding")
    return VisionConfig(
        image_size=side * patch_size,
        width=width,
        layers=_count(shapes, "visual.transformer.resblocks."),
        heads=_heads(width, head_width or _HEAD_WIDTHS.get(width, 64), "image"),
        patch_size=patch_size,
        mlp_width=shapes["visual.transformer.resblocks.0.mlp.c_fc.weight"][0],
    )


def config_from_shapes(shapes: Shapes, *, quick_gelu: bool, head_width: int | None = None) -> ClipConfig:
    """Infer a configuration from tensor shapes in open_clip's layout.

    Args:
        shapes: tensor name -> shape.
        quick_gelu: the activation, which shapes do not show.
        head_width: of the image tower where neither 64 nor ViT-H, g, bigG or e is meant; text heads are 64 wide.

    Raises:
        InputError: a tensor is missing or the shapes fit no CLIP.
    """
    try:
        vision = _vision_from_shapes(shapes, head_width)
        vocab_size, width = shapes["token_embedding.weight"]
        text = TextConfig(
            vocab_size=vocab_size,
            context_length=shapes["positional_embedding"][0],
            width=width,
            layers=_count(shapes, "transformer.resblocks."),
            heads=_heads(width, 64, "text"),
            mlp_width=shapes["transformer.resblocks.0.mlp.c_fc.weight"][0],
        )
        embed_dim = shapes["text_projection"][1]
    except KeyError as error:
        raise InputError(f"The weights have no tensor {error.args[0]!r}: not a plain CLIP model.") from error
    except (ValueError, IndexError) as error:
        raise InputError(f"A tensor has the wrong number of dimensions for a CLIP model ({error}).") from error
    return ClipConfig(embed_dim=embed_dim, vision=vision, text=text, quick_gelu=quick_gelu)


def config_from_state_dict(
    state_dict: Mapping[str, Any], *, quick_gelu: bool, head_width: int | None = None
) -> ClipConfig:
    """`config_from_shapes` of the tensors' own shapes."""
    shapes = {name: tuple(tensor.shape) for name, tensor in state_dict.items()}
    return config_from_shapes(shapes, quick_gelu=quick_gelu, head_width=head_width)
