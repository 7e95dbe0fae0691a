"""The pages browse and Compare in a real browser on the real commands; what is clicked is in the files."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from board_server import CHROMIUM, SHOTS
from PIL import Image, ImageDraw

from lib_hps.hosts.standalone.server import free_port
from lib_hps.infotext import png_info
from lib_hps.preferences.choices import Choice, record
from lib_hps.preferences.reading import read_records

if CHROMIUM is None:
    pytest.skip("no Chromium in /usr/bin: the pages were not clicked", allow_module_level=True)
pytest.importorskip("playwright.sync_api", reason="playwright is not installed: the pages were not clicked")
ROOT = Path(__file__).parents[2]
PROMPTS = ("a warm circle", "a cold circle")


def paint(folder: Path, count: int = 4) -> list[Path]:
    folder.mkdir(parents=True)
    files = []
    for n in range(count * 2):
        image = Image.new("RGB", (192, 192), (245, 244, 240))
        side, warm = 30 + 18 * (n // 2), n % 2 == 0
        fill = (230, 120 - 20 * (n // 2), 60) if warm else (50, 110 + 20 * (n // 2), 200)
        ImageDraw.Draw(image).ellipse((96 - side, 96 - side, 96 + side, 96 + side), fill=fill)
        files.append(folder / f"{n}.png")
        info = png_info(f"{PROMPTS[n % 2]}\nSteps: 4, Sampler: DDIM, Seed: {n}")
        image.save(files[-1], pnginfo=info)
    return files


@pytest.fixture
def serve(tmp_path):
    running = []

    def start(*arguments: str) -> str:
        port = free_port("127.0.0.1")
        command = [sys.executable, "-m", "lib_hps.cli", "data", *arguments, "--port", str(port), "--no-browser"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        process = subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE)
        running.append(process)
        for _ in range(600):
            assert process.poll() is None, process.stderr.read().decode()
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/hps/v1/data", timeout=5)
                return f"http://127.0.0.1:{port}/hps/v1/data"
            except OSError:
                time.sleep(0.2)
        raise AssertionError("the page did not come")

    yield start
    for process in running:
        process.kill()
        process.wait()


@pytest.fixture
def page(chromium, request):
    context = chromium.new_context(**getattr(request, "param", {"viewport": {"width": 1200, "height": 800}}))
    context.set_default_timeout(60_000)
    page = context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    yield page
    assert faults == []
    context.close()


def shot(page, name: str) -> None:
    if SHOTS:
        page.screenshot(path=f"{SHOTS}/{name}.png")


def wait_for(page, words: str) -> None:
    page.get_by_text(words, exact=True).first.wait_for()


def test_compare_records_clicks_keys_ties_and_takes_back(page, serve, tmp_path):
    paint(tmp_path / "pictures")
    page.goto(serve("collect", "pictures", "--into", "choices"))
    page.get_by_role("button", name="Picture 2").wait_for()
    page.wait_for_load_state("networkidle")
    shot(page, "compare-page")
    page.get_by_role("button", name="Picture 2").click()
    wait_for(page, "1 answered")
    page.keyboard.press("1")
    wait_for(page, "2 answered")
    page.keyboard.press("0")
    wait_for(page, "3 answered")
    folder = tmp_path / "choices"
    assert [one.ranking.edges for one in read_records(folder)] == [((1, 0),), ((0, 1),), ()]
    page.keyboard.press("u")
    wait_for(page, "2 answered")
    found = list(read_records(folder))
    assert [one.ranking.edges for one in found] == [((1, 0),), ((0, 1),)]
    assert {one.prompt for one in found} <= set(PROMPTS)
    assert all(picture.read().startswith(b"\x89PNG") for one in found for picture in one.pictures)
    for _ in range(40):  # every pair of four pictures of two prompts: twelve, one of them was taken back
        if page.get_by_text("Everything was asked").count():
            break
        before = page.locator("#count").inner_text()
        page.keyboard.press("1")
        page.wait_for_function("text => document.getElementById('count').textContent !== text", arg=before)
    assert len(list(read_records(folder))) == 12
    assert len({frozenset(p.path.name for p in one.pictures) for one in read_records(folder)}) == 12


def test_browse_corrects_drops_and_takes_back_by_appending(page, serve, tmp_path):
    files = paint(tmp_path / "pictures")
    folder = tmp_path / "choices"
    for n in range(3):
        shown = [files[2 * n], files[2 * n + 2]]
        record(folder, Choice(f"c/{n}", PROMPTS[0], shown, [(0, 1)], 0, "2026-11-24T03:00:00Z"))
    before = (folder / "choices.jsonl").read_bytes()
    page.goto(serve("browse", "choices"))
    wait_for(page, "3 choices")
    page.wait_for_load_state("networkidle")
    shot(page, "browse")
    first = page.locator(".choice").first
    first.get_by_role("button", name="Picture 2").click()
    first.get_by_role("button", name="Picture 2, the best").wait_for()
    found = {one.id: one for one in read_records(folder)}
    assert found["c/0"].ranking.edges == ((1, 0),)
    page.locator(".choice").nth(1).get_by_role("button", name="Drop").click()
    page.get_by_role("button", name="Take it back").wait_for()
    assert {one.id for one in read_records(folder)} == {"c/0", "c/2"}
    page.get_by_role("button", name="Take it back").click()
    page.get_by_role("button", name="Take it back").wait_for(state="detached")
    assert {one.id for one in read_records(folder)} == {"c/0", "c/1", "c/2"}
    assert (folder / "choices.jsonl").read_bytes().startswith(before)
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


on_a_phone = pytest.mark.parametrize(
    "page",
    [{"viewport": {"width": 390, "height": 800}, "color_scheme": "dark", "has_touch": True, "is_mobile": True}],
    indirect=True,
)


def too_small(page) -> list[str]:
    """Of what can be tapped, what is smaller than 40 px or reaches over the screen's edge."""
    return page.evaluate(
        """() => [...document.querySelectorAll("button, input")].filter((each) => {
            const box = each.getBoundingClientRect();
            return box.width < 40 || box.height < 40 || box.left < 0 || box.right > window.innerWidth;
        }).map((each) => each.outerHTML.slice(0, 80))"""
    )


@on_a_phone
def test_browse_on_a_dark_phone_corrects_drops_searches_and_turns_pages(page, serve, tmp_path):
    files, folder = paint(tmp_path / "pictures"), tmp_path / "choices"
    long = "a warm circle, " + "very " * 30 + "andonewordthatislongerthanthewholescreenofaphoneiswide" * 2
    for n in range(30):
        shown = files[::2] if n % 3 == 0 else files[: 2 + n % 2]
        answer = [] if n == 2 else [(0, 1)]
        prompt = long if n == 1 else f"{PROMPTS[0]} {n}"
        record(folder, Choice(f"board/{n:032x}", prompt, shown, answer, 0, "2026-11-24T03:00:00Z"))
    page.goto(serve("browse", "choices"))
    wait_for(page, "30 choices")
    page.wait_for_load_state("networkidle")
    shot(page, "browse-phone")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert too_small(page) == []
    runs_over = "all => all.filter((each) => each.scrollWidth > each.clientWidth).length"
    assert page.locator(".choice h2, .choice .foot .soft").evaluate_all(runs_over) == 0
    first = page.locator(".choice").first
    first.get_by_role("button", name="Picture 3").tap()
    first.get_by_role("button", name="Picture 3, the best").wait_for()
    page.locator(".choice").nth(1).get_by_role("button", name="Drop").tap()
    page.get_by_role("button", name="Take it back").wait_for()
    found = {one.id: one for one in read_records(folder)}
    assert found[f"board/{0:032x}"].ranking.best() == (2,)
    assert f"board/{1:032x}" not in found
    page.get_by_role("button", name="Next").tap()
    wait_for(page, "25 to 29")
    page.get_by_label("Words of the prompt").fill("circle 29")
    wait_for(page, "1 to 1")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


@on_a_phone
def test_four_fresh_pictures_on_a_dark_phone(page, serve, tmp_path):
    page.goto(serve("collect", "--prompt", "red heart", "--draw", "4", "--at-once", "4", "--into", "choices"))
    for _ in range(100):
        if page.get_by_role("button", name="Picture 4").count():
            break
        page.wait_for_timeout(1000)
        page.reload()
    page.get_by_role("button", name="Picture 4").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    shot(page, "compare-phone")
    page.get_by_role("button", name="Picture 4").tap()
    wait_for(page, "1 answered")
    (one,) = read_records(tmp_path / "choices")
    assert (one.prompt, one.ranking.edges) == ("red heart", ((3, 0), (3, 1), (3, 2)))
