"""The API behind the WebUI's own authentication: members get in by cookie or password, strangers get 401."""

from __future__ import annotations

import base64
import http.cookiejar
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator

import pytest
from webui_server import BUNDLED, WebUI, find_root, running

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebUI]:
    root = find_root()
    if not (BUNDLED / "tiny-sd" / "tiny-sd.safetensors").is_file():
        pytest.skip("the bundled tiny-sd is not here")
    with running(
        root, tmp_path_factory.mktemp("locked"), "--gradio-auth", "me:mine", "--api-auth", "bot:bots"
    ) as server:
        yield server


def status(url: str, headers: dict[str, str]) -> int:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=30) as response:
            return response.status
    except urllib.error.HTTPError as error:
        return error.code


def basic(text: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(text.encode()).decode()}


@pytest.mark.parametrize("path", ["version", "schema", "scorers"])
def test_strangers_get_401_and_members_get_in(locked: WebUI, path: str) -> None:
    url = f"{locked.url}/hps/v1/{path}"
    assert status(url, {}) == 401
    assert status(url, basic("bot:wrong")) == 401
    assert status(url, basic("me:mine")) == 401  # the page's password is not the API's
    assert status(url, {"Cookie": "access-token=None"}) == 401
    assert status(url, basic("bot:bots")) == 200
    jar = http.cookiejar.CookieJar()
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
    form = urllib.parse.urlencode({"username": "me", "password": "mine"}).encode()
    opener.open(f"{locked.url}/login", form, timeout=30)
    token = next(cookie.value for cookie in jar if cookie.name == "access-token-unsecure")
    assert status(url, {"Cookie": f"access-token-unsecure={token}"}) == 200
