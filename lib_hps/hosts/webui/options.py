"""The options of the script "HPS", declared once: the form, the API's arguments and the infotext follow from here."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from lib_hps.errors import InputError
from lib_hps.rerank import MinimumKind, Wanted

SCRIPT_TITLE = "HPS"
OPTIONS_KEY = "HPS options"
SCORER_KEY = "HPS scorer"

MINIMUM_KINDS: dict[str, MinimumKind] = {"None": "none", "Score": "score", "Percentile": "percentile"}
SAVE_ALL, SAVE_APART, SAVE_NONE = "Save as well", "Save to the reject folder", "Do not save"


def _option(default: object, label: str, info: str, **more: Any) -> Any:
    return field(default=default, metadata={"label": label, "info": info, **more})


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the user asks of a rerank; the order of the fields is the order of `script_args`.

    A field's metadata: `label` and `info` for people, `choices` or `minimum`, `maximum`, `step` for the component.
    """

    scorer: str = _option("hps-v2.1", "Scorer", "who judges; downloaded at first use")
    candidates: int = _option(0, "Candidates", "to generate; 0: batch count x size", minimum=0, maximum=256, step=1)
    keep: int = _option(0, "Keep the best", "0: keep all that pass", minimum=0, maximum=64, step=1)
    minimum_kind: str = _option("None", "Minimum", "what a picture must reach", choices=tuple(MINIMUM_KINDS))
    minimum: float = _option(0.0, "Minimum value", "a score of this scorer, or a percentile 0 to 100")
    rest: str = _option(
        SAVE_NONE, "The rest", "what becomes of pictures not kept", choices=(SAVE_ALL, SAVE_APART, SAVE_NONE)
    )
    stops_early: bool = _option(False, "Stop when enough pass", "needs a minimum score; looks after every batch")
    hires_for_kept: bool = _option(False, "Hires. fix for the kept only", "txt2img with Hires. fix on")

    def __post_init__(self) -> None:
        for option in fields(self):
            value, choices = getattr(self, option.name), option.metadata.get("choices")
            if choices and value not in choices:
                raise InputError(f"{option.metadata['label']} must be one of {', '.join(choices)}, got {value!r}.")
        if not self.scorer.strip():
            raise InputError("No scorer is chosen.")
        if self.candidates < 0:
            raise InputError(f"Candidates must be 0 or more, got {self.candidates}.")
        self.wanted  # noqa: B018 - refuses what it cannot use

    @property
    def wanted(self) -> Wanted:
        """What to keep, as the core takes it."""
        return Wanted(keep=self.keep, minimum_kind=MINIMUM_KINDS[self.minimum_kind], minimum=self.minimum)

    @classmethod
    def from_args(cls, args: Sequence[Any]) -> Options:
        """Options from what a form or the API hands over, in the order of the fields.

        Raises:
            InputError: another number of values, or one that cannot be read; names it.
        """
        declared = fields(cls)
        if len(args) != len(declared):
            names = ", ".join(option.name for option in declared)
            raise InputError(f"The script HPS takes {len(declared)} arguments ({names}), got {len(args)}.")
        values = zip(declared, args, strict=True)
        return cls(**{option.name: _read(option.name, value) for option, value in values})

    def to_json(self) -> str:
        """What differs from the defaults, and is not in a key of its own, as the infotext keeps it."""
        changed = {name: value for name, value in self.as_dict().items() if value != default_of(name)}
        changed.pop("scorer", None)
        return json.dumps(changed, separators=(",", ":"))

    def as_dict(self) -> dict[str, Any]:
        """Names and values."""
        return {option.name: getattr(self, option.name) for option in fields(self)}


def default_of(name: str) -> Any:
    """The declared default of a field."""
    (default,) = (option.default for option in fields(Options) if option.name == name)
    return default


def _read(name: str, value: Any) -> Any:
    """`value` in the type of the field's default; JSON and gradio hand whole numbers over as either kind."""
    default = default_of(name)
    if value is None:
        return default
    try:
        if isinstance(default, bool):
            return value.strip().lower() in ("true", "1") if isinstance(value, str) else bool(value)
        if isinstance(default, int):
            if float(value) != int(float(value)):
                raise ValueError(value)
            return int(float(value))
        return type(default)(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{name} must be a {type(default).__name__}, got {value!r}.") from error


def pasted(params: Mapping[str, Any], name: str) -> Any:
    """The value of one option in a pasted infotext; None where the picture was not made by this script."""
    if params.get("Script") != SCRIPT_TITLE:
        return None
    if name == "scorer":
        return params.get(SCORER_KEY)
    if OPTIONS_KEY not in params:
        return None
    try:
        changed = json.loads(params.get(OPTIONS_KEY) or "{}")
        return _read(name, changed.get(name, default_of(name)))
    except (ValueError, AttributeError):
        return None
