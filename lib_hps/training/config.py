"""A trainer's settings: one frozen dataclass, read from a TOML file and from flags; unknown keys are refused."""

from __future__ import annotations

import argparse
import dataclasses
import sys
import typing
from collections.abc import Mapping
from pathlib import Path
from types import NoneType
from typing import Any, Literal, TypeVar

from lib_hps.errors import InputError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Config = TypeVar("Config")


def add_flags(parser: argparse.ArgumentParser, config: type) -> None:
    """One flag per field (`--batch-size`), and `--config FILE.toml`; a field's `metadata["help"]` is its help."""
    parser.add_argument("--config", type=Path, help="TOML file with these settings; flags win over it")
    hints = typing.get_type_hints(config)
    for field in dataclasses.fields(config):
        kind = _plain(hints[field.name])
        default = None if field.default is dataclasses.MISSING else field.default
        text = field.metadata.get("help", "") + ("" if default is None else f" (default: {default})")
        flag = "--" + field.name.replace("_", "-")
        options: dict[str, Any] = {"dest": field.name, "default": None, "help": text.replace("%", "%%")}
        if kind is bool:
            parser.add_argument(flag, action=argparse.BooleanOptionalAction, **options)
        elif typing.get_origin(kind) is Literal:
            parser.add_argument(flag, choices=typing.get_args(kind), **options)
        else:
            parser.add_argument(flag, type=kind, metavar=field.name.upper(), **options)


def from_arguments(config: type[Config], arguments: argparse.Namespace) -> Config:
    """Flags over the TOML file over the defaults.

    Raises:
        InputError: an unknown key, a value of a wrong type, or one that the dataclass refuses.
    """
    given = read_toml(arguments.config) if arguments.config else {}
    flags = {field.name: getattr(arguments, field.name) for field in dataclasses.fields(config)}  # type: ignore[arg-type]
    return build(config, {**given, **{key: value for key, value in flags.items() if value is not None}})


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        InputError: it is missing or no TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"Cannot read the settings {path}: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is no TOML: {error}.") from error


def build(config: type[Config], values: Mapping[str, Any]) -> Config:
    """Make the dataclass from plain values.

    Raises:
        InputError: an unknown or missing key, or a value of a wrong type.
    """
    hints = typing.get_type_hints(config)
    fields = {field.name: field for field in dataclasses.fields(config)}  # type: ignore[arg-type]
    unknown = sorted(values.keys() - fields.keys())
    if unknown:
        raise InputError(f"There is no setting {unknown[0]!r}. There are: {', '.join(fields)}.")
    missing = [
        name
        for name, field in fields.items()
        if name not in values and field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise InputError(f"The setting {missing[0]!r} is missing. Give it in the TOML file or as a flag.")
    return config(**{name: _converted(name, value, hints[name]) for name, value in values.items()})


def to_toml(config: Any) -> str:
    """The settings as TOML, for the run's folder."""
    lines = []
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if value is None:
            lines.append(f"# {field.name} is not set")
        elif isinstance(value, bool):
            lines.append(f"{field.name} = {str(value).lower()}")
        elif isinstance(value, (int, float)):
            lines.append(f"{field.name} = {value!r}")
        else:
            text = str(value).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
            lines.append(f'{field.name} = "{text}"')
    return "\n".join(lines) + "\n"


def _plain(hint: Any) -> Any:
    """`int | None` -> int."""
    if NoneType in typing.get_args(hint):
        return next(part for part in typing.get_args(hint) if part is not NoneType)
    return hint


def _converted(name: str, value: Any, hint: Any) -> Any:
    kind = _plain(hint)
    if value is None and NoneType in typing.get_args(hint):
        return None
    if typing.get_origin(kind) is Literal:
        if value in typing.get_args(kind):
            return value
        raise InputError(f"{name} is {value!r}; it can be {', '.join(map(str, typing.get_args(kind)))}.")
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if kind is Path and isinstance(value, (str, Path)):
        return Path(value)
    if isinstance(value, kind) and (kind is bool or not isinstance(value, bool)):
        return value
    raise InputError(f"{name} is {value!r}; a value of the type {kind.__name__} is needed.")
