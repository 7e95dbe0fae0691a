"""The API behind the WebUI's own authentication, below a subpath, and without memory to spare.

Each server is started with several flags at once, as they do not touch each other.
"""

from __future__ import annotations

import base64
import http.client
import http.cookiejar
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator

import pytest
from webui_runs import NEEDS_SCORER, Run, check_scores
from webui_server import WebUI, find_root, running

pytestmark = NEEDS_SCORER
PAGE, API = "--gradio-auth me:mine", "--api-auth bot:bots"


@pytest.fixture(scope="module", params=[f"{PAGE} {API} --lowvram", f"{PAGE} --medvram", f"{API} --nowebui"])
def locked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebUI]:
    flags = request.param.split()
    with running(find_root(), tmp_path_factory.mktemp("locked"), *flags) as server:
        server.flags = request.param
        yield server


def status(url: str, headers: dict[str, str], *, body: bytes | None = None) -> int:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=60) as response:
            return response.status
    except urllib.error.HTTPError as error:
        return error.code


def basic(text: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(text.encode()).decode()}


def cookie_of_the_page(url: str) -> dict[str, str]:
    jar = http.cookiejar.CookieJar()
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
    form = urllib.parse.urlencode({"username": "me", "password": "mine"}).encode()
    opener.open(f"{url}/login", form, timeout=60)
    token = next(cookie.value for cookie in jar if cookie.name == "access-token-unsecure")
    return {"Cookie": f"access-token-unsecure={token}"}


def test_strangers_get_401_and_members_get_in(locked: WebUI) -> None:
    for path in ("version", "schema", "scorers"):
        url = f"{locked.url}/hps/v1/{path}"
        assert status(url, {}) == 401
        assert status(url, basic("bot:wrong")) == 401
        assert status(url, basic("me:mine")) == 401  # the page's password is not the API's
        assert status(url, {"Cookie": "access-token=None"}) == 401
        assert status(url, {"Cookie": "access-token-unsecure=made-up"}) == 401
        assert status(url, basic("bot:bots")) == (200 if API in locked.flags else 401)
        if PAGE in locked.flags:
            assert status(url, cookie_of_the_page(locked.url)) == 200


def test_a_stranger_is_let_out_before_anything_is_read(locked: WebUI) -> None:
    connection = http.client.HTTPConnection(locked.url.partition("://")[2], timeout=60)
    connection.putrequest("POST", "/hps/v1/score")
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Content-Length", str(100 << 20))
    connection.endheaders()  # and not one byte of the body
    assert connection.getresponse().status == 401
    connection.close()


def test_pictures_are_sorted_where_memory_is_short(locked: WebUI) -> None:
    if "vram" not in locked.flags:
        pytest.skip("this server has memory")
    locked.headers.update(basic("bot:bots") if API in locked.flags else {})
    run = Run(locked, options={"keep": 3}, n_iter=2)
    assert run.settings("HPS rank") == ["1/4", "2/4", "3/4"]
    check_scores(run)
    again = Run(locked, options={"keep": 3}, n_iter=2)
    assert again.scores == run.scores
