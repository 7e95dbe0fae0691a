"""The real server as a process that a test may kill and start again, and the words of the board's page."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

from random_models import ROOT, write_scorer

from lib_hps.hosts.standalone.server import free_port

CHROMIUM = next(
    (
        path
        for path in ("/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome")
        if Path(path).exists()
    ),
    None,
)
SHOTS = os.environ.get("HPS_SCREENSHOTS")  # a folder: keep screenshots to look at
PATIENCE_MS = 240_000  # the machine may be busy
DONE = ".hps-running"


class BoardServer:
    """`hps serve` on random models; the sessions stay when the process does not."""

    def __init__(self, checkpoint: Path, folder: Path) -> None:
        self.checkpoint, self.folder = checkpoint, folder
        self.scorer = write_scorer(folder / "taste.safetensors")
        self.port = free_port("127.0.0.1")
        self.url = f"http://127.0.0.1:{self.port}"
        self.board = f"{self.url}/hps/v1/board"
        self._process: subprocess.Popen[bytes] | None = None

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`hps ...` to its end."""
        command = [sys.executable, "-m", "lib_hps.cli", *arguments]
        return subprocess.run(command, env=_environment(), cwd=self.folder, capture_output=True, text=True, timeout=600)

    def start(self) -> None:
        """Start and wait until it answers."""
        options = ["--checkpoint", str(self.checkpoint), "--scorer", self.scorer, "--outputs", "outputs"]
        command = [sys.executable, "-m", "lib_hps.cli", "serve", *options, "--port", str(self.port)]
        command += ["--no-browser", "--device", "cpu"]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command, env=_environment(), cwd=self.folder, stdout=log, stderr=log, start_new_session=True
            )
        for _ in range(1200):
            assert self._process.poll() is None, (self.folder / "log").read_text()
            try:
                self.get("/version")
                return
            except OSError:
                time.sleep(0.5)
        raise AssertionError("the server did not answer in ten minutes")

    def kill(self) -> None:
        """SIGKILL: no goodbye, as in a power cut."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(30)

    def stop(self) -> None:
        """Leave nothing running."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                self.kill()

    def get(self, path: str) -> dict[str, Any]:
        """GET of the API."""
        with urllib.request.urlopen(f"{self.url}/hps/v1{path}", timeout=60) as answer:
            return json.load(answer)

    def bytes(self, path: str) -> bytes:
        """What is at a path of the server."""
        with urllib.request.urlopen(self.url + path, timeout=60) as answer:
            return answer.read()

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """POST of the API."""
        request = urllib.request.Request(
            f"{self.url}/hps/v1{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)


def _environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


def shot(page, name: str, *, full: bool = False) -> None:
    """A screenshot to look at, where one was asked for."""
    if SHOTS:
        Path(SHOTS).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=f"{SHOTS}/board-{name}.png", full_page=full)


def begin(page, prompt: str = "a cat", *, count: int = 4, steps: int = 2, seed: int = 11) -> str:
    """Start a session as a person does; gives its id."""
    page.get_by_label("Prompt").fill(prompt)
    if not page.get_by_label("Pictures a round").is_visible():
        page.locator("summary", has_text="Settings").click()
    for label, value in (("Pictures a round", count), ("Steps", steps), ("Seed", seed)):
        page.get_by_label(label).fill(str(value))
    page.get_by_role("button", name="Start", exact=True).click()
    wait_for_round(page, 1, count)
    return session_of(page)


def session_of(page) -> str:
    """The id in the page's address."""
    return re.search(r"#hps=([0-9a-z-]+)$", page.url)[1]


def wait_for_round(page, number: int, count: int = 4) -> None:
    """All pictures of a round are on the screen and nothing runs."""
    from playwright.sync_api import expect

    page.locator(".hps-say b", has_text=re.compile(f"^Round {number}$")).wait_for()
    expect(page.locator(".hps-picture:not([hidden])")).to_have_count(count, timeout=PATIENCE_MS)
    page.locator(DONE).wait_for(state="hidden")


def order(page) -> str:
    """The half-made ranking as the page shows it: "3 > 1 = 2"."""
    tiers = page.locator(".hps-tier").all()
    return " > ".join(
        " = ".join(chip.get_attribute("data-chip") for chip in tier.locator("[data-chip]").all()) for tier in tiers
    )


def places(page) -> list[str]:
    """The badge on each picture, "" where there is none."""
    return [card.inner_text() if card.is_visible() else "" for card in page.locator(".hps-card .hps-place").all()]
