"""A scorer that does not fit into memory: torch's own error out of the scorer's own model loses no picture."""

from __future__ import annotations

import pytest
from webui_runs import NEEDS_SCORER, Run, check_scores
from webui_server import WebUI

pytestmark = NEEDS_SCORER
SENTENCE = "not even one picture fits into this machine's memory"


def test_pictures_come_unsorted_and_saved_and_the_message_says_why(webui: WebUI) -> None:
    options = {"keep": 1, "minimum_kind": "Score", "minimum": 9}
    run = Run(webui, prompt="red heart, no memory", options=options, save_images=True)
    assert run.seeds == list(range(10, 16))
    assert len(run.files) == 6
    assert set(run.settings("HPS")) == {None}
    assert SENTENCE in run.message
    again = Run(webui, options={}, n_iter=1)  # and when there is room again, all is well
    check_scores(again)
    assert again.settings("HPS rank") == ["1/2", "2/2"]


def test_smaller_batches_are_judged_where_those_fit(webui: WebUI) -> None:
    run = Run(webui, prompt="red heart, little memory", options={})
    assert run.settings("HPS rank") == [f"{i}/6" for i in range(1, 7)]
    assert run.message == ""
    check_scores(run)


@pytest.mark.parametrize("words", ["no memory", "no memory, with a map"])
def test_every_image_comes_without_a_number_and_the_message_says_why(webui: WebUI, words: str) -> None:
    run = Run(webui, prompt=f"red heart, {words}", alwayson_scripts={"HPS score": {"args": [True, "tiny-hps"]}})
    assert run.seeds == list(range(10, 16))
    assert set(run.settings("HPS")) == {None}
    assert SENTENCE in run.message
