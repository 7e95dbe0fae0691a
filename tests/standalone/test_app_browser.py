"""The page in a real browser: generate, read the order, download, cancel, history; nothing is asked of the internet."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import time
import urllib.request
import zipfile
from pathlib import Path

import pytest
from PIL import Image
from random_models import ROOT, write_scorer

from lib_hps.hosts.standalone.server import free_port
from lib_hps.infotext import read_generation

CHROMIUM = next(
    (
        path
        for path in ("/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome")
        if Path(path).exists()
    ),
    None,
)
SHOTS = os.environ.get("HPS_SCREENSHOTS")  # a folder: keep screenshots to look at
if CHROMIUM is None:
    pytest.skip("no Chromium in /usr/bin: the page was not clicked", allow_module_level=True)
sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: the page was not clicked")
pytestmark = pytest.mark.timeout(1200)
PATIENCE_MS = 240_000  # the machine may be busy
sync_api.expect.set_options(timeout=60_000)


@pytest.fixture(scope="module")
def server(tiny_checkpoint, tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    scorer = write_scorer(folder / "taste.safetensors")
    port = free_port("127.0.0.1")
    command = [
        sys.executable,
        "-m",
        "lib_hps.cli",
        "serve",
        "--checkpoint",
        str(tiny_checkpoint),
        "--scorer",
        scorer,
        "--outputs",
        str(folder / "outputs"),
        "--port",
        str(port),
        "--no-browser",
        "--device",
        "cpu",
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    log = (folder / "log").open("wb")
    process = subprocess.Popen(command, env=environment, stderr=log, stdout=log, cwd=folder)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(1200):
            assert process.poll() is None, (folder / "log").read_text()
            try:
                urllib.request.urlopen(url, timeout=5)
                break
            except OSError:
                time.sleep(0.5)
        yield url, folder / "outputs"
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage"]
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=options)
        yield chromium
        chromium.close()


@pytest.fixture
def page(server, browser, request):
    options = getattr(request, "param", {"viewport": {"width": 1280, "height": 860}})
    context = browser.new_context(accept_downloads=True, **options)
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.asked = []
    page.on("request", lambda asked: page.asked.append(asked.url))
    page.goto(server[0])
    page.get_by_role("button", name="Generate").wait_for()
    yield page
    context.close()


def shot(page, name):
    if SHOTS:
        Path(SHOTS).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=f"{SHOTS}/{name}.png", full_page=True)


def number(page, label, value):
    box = page.get_by_label(label, exact=False).first
    box.fill(str(value))
    box.press("Tab")


def fill(page, prompt="a cat", *, count=6, keep=3, batch=2, steps=3, seed=11):
    page.locator("#hps-prompt textarea").fill(prompt)
    for label, value in (
        ("Candidates", count),
        ("Keep the best", keep),
        ("Batch size", batch),
        ("Steps", steps),
        ("Seed", seed),
    ):
        number(page, label, value)


def captions(page):
    return [re.split(r"\s+", text.strip()) for text in page.locator("#hps-results .caption-label").all_inner_texts()]


def download(page, selector) -> tuple[str, bytes]:
    with page.expect_download() as waiting:
        page.locator(selector).click()
    return waiting.value.suggested_filename, Path(waiting.value.path()).read_bytes()


def generate(page, **values):
    fill(page, **values)
    page.get_by_role("button", name="Generate").click()
    page.get_by_text("sorted by taste").wait_for()
    page.wait_for_timeout(300)
    page.locator("#hps-file").wait_for()


def test_the_best_pictures_come_first_with_rank_and_score_and_can_be_downloaded(page, server):
    shot(page, "start-light")
    generate(page)
    shown = captions(page)
    assert [rank for rank, _ in shown] == ["1", "2", "3"]
    scores = [float(score) for _, score in shown]
    assert scores == sorted(scores, reverse=True)
    name, raw = download(page, "#hps-file")
    with Image.open(io.BytesIO(raw)) as image:
        assert image.size == (64, 64)
        infotext = image.info["parameters"]
    assert name.startswith("01_seed")
    assert f"HPS: {shown[0][1]}, HPS scorer: taste, HPS rank: 1/6" in infotext
    name, raw = download(page, "#hps-zip")
    names = zipfile.ZipFile(io.BytesIO(raw)).namelist()
    assert [re.sub(r"seed\d+", "seed", entry) for entry in names] == [
        "01_seed.png",
        "02_seed.png",
        "03_seed.png",
        "scores.jsonl",
    ]
    saved = sorted(server[1].glob("*/*/*.png"))
    assert read_generation(saved[-1]).prompt == "a cat"
    shot(page, "results-light")


def test_a_click_shows_how_that_picture_was_made_and_its_settings_can_be_used_again(page):
    generate(page, seed=70)
    page.locator("#hps-results .thumbnail-item").nth(1).click()
    box = page.locator("#hps-infotext textarea")
    sync_api.expect(box).to_have_value(re.compile(r"HPS rank: 2/6"))
    seed = re.search(r"Seed: (\d+)", box.input_value())[1]
    assert 70 <= int(seed) < 76
    page.get_by_role("button", name="Use these settings").first.click()
    sync_api.expect(page.get_by_label("Seed")).to_have_value(seed)


def test_cancel_keeps_what_is_finished(page):
    fill(page, count=64, keep=64, batch=1, steps=8)
    page.get_by_role("button", name="Generate").click()
    page.get_by_text(re.compile(r"Picture [3-9] of 64")).wait_for()
    shot(page, "drawing-light")
    page.get_by_role("button", name="Cancel").click()
    page.get_by_text("Cancelled. Best").wait_for()
    drawn = len(captions(page))
    assert 1 < drawn < 64
    sync_api.expect(page.get_by_role("button", name="Generate")).to_be_enabled()
    sync_api.expect(page.locator("#hps-cancel")).to_be_disabled()


def test_a_mistake_is_said_in_words_and_the_page_stays_usable(page):
    fill(page, prompt="")
    page.get_by_role("button", name="Generate").click()
    page.get_by_text("Write a prompt first").wait_for()
    sync_api.expect(page.get_by_role("button", name="Generate")).to_be_enabled()


def test_a_job_of_another_tab_waits_and_both_are_done(page, server):
    other = page.context.new_page()
    other.set_default_timeout(PATIENCE_MS)
    other.goto(server[0])
    for tab in (page, other):
        fill(tab, count=4, keep=2, steps=4)
    for tab in (page, other):
        tab.get_by_role("button", name="Generate").click()
    for tab in (page, other):
        tab.get_by_text("Best 2 of 4").wait_for()


def test_two_tabs_do_not_see_each_others_results(page, server):
    other = page.context.new_page()
    other.set_default_timeout(PATIENCE_MS)
    other.goto(server[0])
    generate(page, count=2, keep=2)
    assert not captions(other)


def test_the_history_shows_earlier_pictures_with_their_infotext(page):
    generate(page, prompt="a dog", count=2, keep=2)
    page.get_by_role("tab", name="History").click()
    page.locator("#hps-history .thumbnail-item").first.click()
    sync_api.expect(page.locator("#hps-old-infotext textarea")).to_have_value(re.compile("a dog\n.*Steps: 3"))
    shot(page, "history-light")


def test_nothing_is_asked_of_the_internet(page, server):
    generate(page, count=2, keep=1)
    foreign = [url for url in page.asked if not url.startswith((server[0], "data:", "blob:"))]
    assert foreign == []


@pytest.mark.parametrize(
    "page",
    [
        {"viewport": {"width": 1280, "height": 860}, "color_scheme": "dark"},
        {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True},
    ],
    indirect=True,
    ids=["dark", "phone"],
)
def test_dark_and_phone_work_without_scrolling_sideways(page, request):
    generate(page)
    assert len(captions(page)) == 3
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth + 1")
    shot(page, f"results-{request.node.callspec.id}")
