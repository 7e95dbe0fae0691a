"""The script's options: declared once, read from forms, the API and pasted infotexts."""

from __future__ import annotations

from dataclasses import fields

import pytest

from lib_hps.errors import InputError
from lib_hps.hosts.webui.options import SAVE_APART, Options, pasted
from lib_hps.rerank import Wanted

ARGS = ["tiny-hps", 8.0, 2, "Score", 0.25, SAVE_APART, True, False]


def test_arguments_come_in_the_order_of_the_fields() -> None:
    options = Options.from_args(ARGS)
    assert options.candidates == 8
    assert isinstance(options.candidates, int)
    assert options.wanted == Wanted(keep=2, minimum_kind="score", minimum=0.25)


def test_pasting_restores_every_option() -> None:
    options = Options.from_args(ARGS)
    params = {"Script": "HPS", "HPS scorer": options.scorer, "HPS options": options.to_json()}
    assert {f.name: pasted(params, f.name) for f in fields(Options)} == options.as_dict()


def test_pasting_defaults_restores_them() -> None:
    params = {"Script": "HPS", "HPS scorer": "hps-v2.1", "HPS options": Options().to_json()}
    assert Options().to_json() == "{}"
    assert pasted(params, "keep") == 0


def test_another_scripts_picture_changes_nothing() -> None:
    assert pasted({"Script": "X/Y/Z plot", "HPS options": '{"keep":3}'}, "keep") is None
    assert pasted({}, "scorer") is None


def test_a_damaged_infotext_changes_nothing() -> None:
    assert pasted({"Script": "HPS", "HPS options": "{"}, "keep") is None
    assert pasted({"Script": "HPS", "HPS options": '{"keep":"many"}'}, "keep") is None


@pytest.mark.parametrize(("at", "wrong"), [(0, " "), (1, -1), (1, 2.5), (2, "x"), (3, "Some"), (4, "nan"), (5, "Burn")])
def test_wrong_values_are_named(at: int, wrong: object) -> None:
    args = [*ARGS[:at], wrong, *ARGS[at + 1 :]]
    with pytest.raises(InputError):
        Options.from_args(args)


def test_a_wrong_number_of_arguments_lists_them() -> None:
    with pytest.raises(InputError, match="scorer, candidates"):
        Options.from_args(ARGS[:3])
