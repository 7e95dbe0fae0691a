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
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
from reverse_proxy import behind_a_proxy
from webui_board import Board
from webui_page import NEEDS_BROWSER, opened, sync_api
from webui_runs import NEEDS_SCORER, Run, check_scores
from webui_server import WebUI, find_root, running

pytestmark = NEEDS_SCORER
PAGE, API = "--gradio-auth me:mine", "--api-auth bot:bots"


SERVERS = [f"{PAGE} {API} --lowvram --subpath sd", f"{PAGE} --medvram --no-gradio-queue", API, f"{API} --nowebui"]


@dataclass
class Locked(WebUI):
    flags: str = ""


@pytest.fixture(scope="module", params=SERVERS)
def locked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Locked]:
    with running(find_root(), tmp_path_factory.mktemp("locked"), *request.param.split()) as server:
        yield Locked(server.url, server.data, server.log, flags=request.param)


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


def test_strangers_get_401_and_members_get_in(locked: Locked) -> None:
    for path in ("version", "schema", "scorers", "options", "sessions", "trash", "board", "board/static/board.js"):
        url = f"{locked.url}/hps/v1/{path}"
        assert status(url, {}) == 401
        assert status(url, basic("bot:wrong")) == 401
        assert status(url, basic("me:mine")) == 401  # the page's password is not the API's
        assert status(url, {"Cookie": "access-token=None"}) == 401
        assert status(url, {"Cookie": "access-token-unsecure=made-up"}) == 401
        assert status(url, basic("bot:bots")) == (200 if API in locked.flags else 401)
        if PAGE in locked.flags:
            assert status(url, cookie_of_the_page(locked.url)) == 200


def test_a_browser_is_asked_for_the_apis_password_where_there_is_one(locked: Locked) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{locked.url}/hps/v1/version", timeout=60)
    asked = refused.value.headers.get("WWW-Authenticate", "")
    assert asked.startswith("Basic realm=") if API in locked.flags else asked == ""
    assert "--api-auth" in refused.value.read().decode()


def test_a_stranger_changes_nothing_and_sees_no_picture(locked: Locked) -> None:
    for path in ("sessions", "options", "sessions/20200101-000000-aaaaaa/tell", "sessions/import", "unload"):
        assert status(f"{locked.url}/hps/v1/{path}", {}, body=b"{}") == 401
    assert status(f"{locked.url}/hps/v1/sessions/20200101-000000-aaaaaa/pictures/a.png", {}) == 401
    assert status(f"{locked.url}/hps/v1/sessions/20200101-000000-aaaaaa/form", {}) == 401


def test_a_stranger_is_let_out_before_anything_is_read(locked: Locked) -> None:
    connection = http.client.HTTPConnection(locked.url.partition("://")[2], timeout=60)
    connection.putrequest("POST", "/hps/v1/score")
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Content-Length", str(100 << 20))
    connection.endheaders()  # and not one byte of the body
    assert connection.getresponse().status == 401
    connection.close()


def test_pictures_are_sorted_where_memory_is_short(locked: Locked) -> None:
    if "vram" not in locked.flags:
        pytest.skip("this server has memory")
    locked.headers.update(basic("bot:bots") if API in locked.flags else {})
    run = Run(locked, options={"keep": 3}, n_iter=2)
    assert run.settings("HPS rank") == ["1/4", "2/4", "3/4"]
    check_scores(run)
    again = Run(locked, options={"keep": 3}, n_iter=2)
    assert again.scores == run.scores


def test_below_a_subpath_behind_a_proxy_the_same_people_get_in(locked: Locked) -> None:
    if "--subpath" not in locked.flags:
        pytest.skip("this server has no subpath")
    with behind_a_proxy(locked.url) as outside:
        assert status(f"{outside}/hps/v1/version", {}) == 401
        assert status(f"{outside}/hps/v1/version", basic("bot:bots")) == 200
        assert status(f"{outside}/hps/v1/version", cookie_of_the_page(locked.url)) == 200


@NEEDS_BROWSER
def test_the_page_works_for_whoever_is_logged_in(locked: Locked) -> None:
    if PAGE not in locked.flags:
        pytest.skip("this server has no page that one logs in to")
    with ExitStack() as stack:
        outside = stack.enter_context(behind_a_proxy(locked.url)) if "--subpath" in locked.flags else locked.url
        page = stack.enter_context(opened(f"{outside}/", login=("me", "mine")))
        page.fill(count=2, size=2, seed=140)
        page.choose_script(keep=3)
        page.start()
        page.wait_for_result()
        page.shot("logged-in")
        assert [one.settings["HPS rank"] for one in page.generations] == ["1/4", "2/4", "3/4"]
        shown = page.raw.locator("#txt2img_gallery .thumbnails .thumbnail-item img").nth(1)
        assert shown.evaluate("image => image.naturalWidth") == 64
        page.tab("HPS")
        page.text("#hps_tab_folder", "/no/such/folder")
        page.raw.locator("#hps_tab_score").click()
        sync_api.expect(page.raw.locator("#hps_tab_line").first).to_contain_text("There is no folder")
        answer = page.raw.evaluate("fetch('./hps/v1/scorers').then(answer => answer.status)")
        assert answer == 200
        assert page.errors == []


@NEEDS_BROWSER
def test_the_board_works_for_whoever_is_logged_in(locked: Locked) -> None:
    if PAGE not in locked.flags:
        pytest.skip("this server has no page that one logs in to")
    locked.headers.update(basic("bot:bots") if API in locked.flags else cookie_of_the_page(locked.url))
    with ExitStack() as stack:
        outside = stack.enter_context(behind_a_proxy(locked.url)) if "--subpath" in locked.flags else locked.url
        page = stack.enter_context(opened(f"{outside}/", login=("me", "mine")))
        page.fill(count=1, size=2, seed=11)
        board = Board(locked, page)
        board.choose()
        board.start(count=3)
        sync_api.expect(board.node.locator(".hps-loaded .hps-picture")).to_have_count(3)  # pictures come through too
        board.pick(2)
        board.button("Next").click()
        board.wait_for_round(2, 3)
        assert board.orders == [[[2]]]
        assert page.errors == []


@NEEDS_BROWSER
def test_on_a_page_without_a_login_the_board_is_behind_the_apis_password(locked: Locked) -> None:
    if locked.flags != API:
        pytest.skip("this server has no page, or one with a login")
    locked.headers.update(basic("bot:bots"))
    known = {"username": "bot", "password": "bots"}
    with opened(locked.url, http_credentials=known) as page:  # whoever answers the browser's question
        page.fill(count=1, size=2, seed=11)
        board = Board(locked, page)
        board.choose()
        board.start(count=3)
        sync_api.expect(board.node.locator(".hps-loaded .hps-picture")).to_have_count(3)
        board.pick(2)
        board.button("Next").click()
        board.wait_for_round(2, 3)
        page.raw.reload()
        board.wait_for_round(2, 3)
        board.finish(128, 128)
        assert board.orders == [[[2]]]
        assert page.errors == []


@NEEDS_BROWSER
def test_whoever_does_not_know_the_apis_password_is_told_so_once_and_can_try_again(locked: Locked) -> None:
    if locked.flags != API:
        pytest.skip("this server has no page, or one with a login")
    with opened(locked.url, http_credentials={"username": "bot", "password": "guessed"}) as page:
        asked: list[str] = []
        page.raw.on("request", lambda request: asked.append(request.url) if "/hps/v1/" in request.url else None)
        page.choose("#txt2img_script_container #script_list", "HPS")
        board = Board(locked, page)
        board.mode("Rank")
        place = page.raw.locator(f"{board.script}_board")
        sync_api.expect(place).to_contain_text("--api-auth")
        page.shot("rank-without-password")
        page.raw.wait_for_timeout(2000)
        assert len(asked) == 1
        place.get_by_role("button", name="Log in").click()
        page.raw.wait_for_timeout(2000)
        assert len(asked) == 2
        sync_api.expect(place).to_contain_text("--api-auth")
        assert page.errors == []
