"""The HTTP API /hps/v1: it scores what is sent, says what it takes, and refuses the rest in words."""

from __future__ import annotations

import http.client
import json
import urllib.error
from pathlib import Path

import pytest
from PIL import Image
from webui_runs import NEEDS_SCORER, PLAIN, PROMPT, encode, my_scores
from webui_server import WebUI

from lib_hps.scoring import load_scorer

pytestmark = NEEDS_SCORER


def refusal(webui: WebUI, body: dict) -> tuple[int, str]:
    with pytest.raises(urllib.error.HTTPError) as refused:
        webui.post("/hps/v1/score", {"prompt": PROMPT, "scorer": "tiny-hps", **body})
    return refused.value.code, json.load(refused.value)["detail"]


def test_api_scores_what_is_sent(webui: WebUI) -> None:
    images = [Image.new("RGB", (64, 64), colour) for colour in ("red", "blue")]
    sent = [encode(images[0]), f"data:image/png;base64,{encode(images[1])}"]
    answer = webui.post("/hps/v1/score", {"images": sent, "prompt": [PROMPT, "blue sky"], "scorer": "tiny-hps"})
    assert answer["scores"] == pytest.approx(my_scores(images, [PROMPT, "blue sky"]), abs=1e-4)
    assert answer["scorer"] == "tiny-hps"
    known = webui.get("/hps/v1/scorers")["scorers"]
    assert "tiny-hps" in {one["name"] for one in known}
    assert all("path" not in one for one in known)
    schema = webui.get("/hps/v1/schema")
    assert [a["name"] for a in schema["script_args"]] == list(PLAIN)
    assert {"/hps/v1/score", "/hps/v1/sessions/{id}/tell"} <= set(schema["paths"])
    assert webui.post("/hps/v1/unload", {}) == {"was_loaded": True}
    assert webui.post("/hps/v1/unload", {}) == {"was_loaded": False}


def test_api_and_tab_and_command_line_see_a_transparent_picture_alike(webui: WebUI, tmp_path: Path) -> None:
    image = Image.new("RGBA", (64, 64), (220, 0, 0, 30))
    image.save(tmp_path / "a.png")
    answer = webui.post("/hps/v1/score", {"images": [encode(image)], "prompt": PROMPT, "scorer": "tiny-hps"})
    assert answer["scores"] == pytest.approx(load_scorer("tiny-hps").score([tmp_path / "a.png"], PROMPT), abs=1e-4)
    assert answer["scores"] != pytest.approx(my_scores([image]), abs=1e-3)  # the same without its transparency


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"images": []}, 422, "Send 1 to 64 pictures"),
        ({"images": ["bm8="]}, 422, "Not a picture"),
        ({"images": ["bm8="] * 65}, 413, "Send 1 to 64 pictures"),
        ({"images": ["bm8="], "scorer": "/etc/passwd"}, 422, "There is no scorer '/etc/passwd'"),
        ({"images": ["bm8="], "scorer": "../../x.safetensors"}, 422, "There is no scorer"),
        ({"images": ["bm8="], "scorer": "ensemble:/etc/passwd=1"}, 422, "There is no scorer"),
        ({"images": ["bm8="], "prompt": ["a", "b"]}, 422, "one per picture: 1, not 2"),
    ],
)
def test_api_refuses_what_it_cannot_use(webui: WebUI, body: dict, status: int, words: str) -> None:
    code, detail = refusal(webui, body)
    assert code == status
    assert words in detail


def test_a_picture_that_would_not_fit_into_memory_is_refused_unread(webui: WebUI) -> None:
    bomb = encode(Image.new("1", (12_000, 12_000)))
    code, detail = refusal(webui, {"images": [bomb]})
    assert code == 413
    assert "128,000,000 pixels" in detail


def test_a_missing_weight_file_is_named(webui: WebUI) -> None:
    code, detail = refusal(webui, {"images": [encode(Image.new("RGB", (64, 64)))], "scorer": "hps-v2.1"})
    assert code == 503
    assert "hps-v2.1" in detail


def test_a_body_over_the_limit_is_refused_before_it_is_read(webui: WebUI) -> None:
    connection = http.client.HTTPConnection(webui.url.partition("://")[2], timeout=60)
    connection.putrequest("POST", "/hps/v1/score")
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Content-Length", str(300 << 20))
    connection.endheaders()
    assert connection.getresponse().status == 413
    connection.close()
