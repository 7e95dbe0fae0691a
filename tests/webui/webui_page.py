"""The WebUI's page in a real headless Chromium, driven as a user would: clicks, typing, looking."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lib_hps.infotext import Generation, parse_infotext

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: the page was not clicked")
CHROMIUM = next(
    (
        path
        for path in ("/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome")
        if Path(path).exists()
    ),
    None,
)
NEEDS_BROWSER = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium in /usr/bin: the page was not clicked")
OF_THE_HOST = {"Cannot read properties of undefined (reading 'props')"}  # gradio 3.41's own: thrown with no extension
SHOTS = os.environ.get("HPS_SCREENSHOTS")  # a folder: keep screenshots to look at
PATIENCE_MS = 240_000  # the machine may be busy


@contextmanager
def opened(url: str, *, width: int = 1400, height: int = 1000) -> Iterator[Page]:
    """A fresh browser on the page."""
    with sync_api.sync_playwright() as playwright:
        options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage"]
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=options)
        try:
            raw = chromium.new_context(viewport={"width": width, "height": height}).new_page()
            raw.set_default_timeout(PATIENCE_MS)
            # fonts and a script of gradio's that the page asks the internet for: it must do without
            raw.route(re.compile(r"^https?://(?!127\.0\.0\.1)"), lambda route: route.abort())
            page = Page(raw)
            page.open(url)
            yield page
        finally:
            chromium.close()


class Page:
    """What is done with the page; `raw` is Playwright's own.

    Attributes:
        errors: what JavaScript threw since the page was opened.
    """

    def __init__(self, raw: Any) -> None:
        self.raw = raw
        self.errors: list[str] = []
        raw.on("pageerror", lambda error: self._note(str(error)))

    def _note(self, error: str) -> None:
        if error not in OF_THE_HOST:
            self.errors.append(error)

    def open(self, url: str) -> None:
        self.raw.goto(url)
        self.raw.locator("#txt2img_generate").wait_for()
        self.raw.wait_for_timeout(1500)  # the WebUI's own scripts wire the page after it is there

    def shot(self, name: str, *, of: str | None = None) -> None:
        if SHOTS:
            Path(SHOTS).mkdir(parents=True, exist_ok=True)
            target = self.raw.locator(of).first if of else self.raw
            target.screenshot(path=f"{SHOTS}/{name}.png")

    def tab(self, name: str) -> None:
        exactly = re.compile(rf"^\s*{re.escape(name)}\s*$")
        self.raw.locator("#tabs > .tab-nav > button").filter(has_text=exactly).click()

    def text(self, selector: str, value: str) -> None:
        box = self.raw.locator(f"{selector} textarea, {selector} input").first
        box.fill(value)
        box.press("Tab")

    def number(self, selector: str, value: float) -> None:
        box = self.raw.locator(f"{selector} input[type=number]").first
        box.fill(str(value))
        box.press("Tab")

    def choose(self, selector: str, value: str) -> None:
        """Pick from a gradio dropdown, as a user does: open it, click the line."""
        box = self.raw.locator(f"{selector} input").first
        box.click()
        options = self.raw.locator(f"{selector} ul.options li")
        options.filter(has_text=re.compile(rf"^\W*{re.escape(value)}\s*$")).first.click()
        sync_api.expect(box).to_have_value(value)

    def value(self, selector: str) -> str:
        return str(self.raw.locator(f"{selector} input, {selector} textarea").first.input_value())

    def is_checked(self, selector: str) -> bool:
        return bool(self.raw.locator(f"{selector} input[type=checkbox]").first.is_checked())

    def fill(self, *, steps: int = 4, count: int = 3, size: int = 2, seed: int = 10, prompt: str = "") -> None:
        """The form of txt2img, small enough for a CPU."""
        self.text("#txt2img_prompt", prompt or "red heart, noto style")
        self.choose("#txt2img_sampling", "DDIM")
        for name, number in (
            ("steps", steps),
            ("width", 64),
            ("height", 64),
            ("batch_count", count),
            ("batch_size", size),
            ("cfg_scale", 5),
            ("seed", seed),
        ):
            self.number(f"#txt2img_{name}", number)

    def start(self) -> None:
        """Press Generate."""
        self.raw.locator("#txt2img_generate").click()
        self.raw.locator("#txt2img_interrupt").wait_for(state="visible")

    def wait_for_result(self) -> None:
        self.raw.locator("#txt2img_interrupt, #txt2img_interrupting").first.wait_for(state="hidden")
        self.raw.locator("#txt2img_interrupting").wait_for(state="hidden")
        self.raw.locator("#html_log_txt2img .performance, #html_log_txt2img .error").first.wait_for(state="attached")
        self.raw.wait_for_timeout(500)

    @property
    def info(self) -> dict[str, Any]:
        """What the page knows of the gallery."""
        result: dict[str, Any] = json.loads(self.raw.locator("#generation_info_txt2img textarea").input_value())
        return result

    @property
    def generations(self) -> list[Generation]:
        """Of the gallery's pictures, without the grid."""
        info = self.info
        return [parse_infotext(text) for text in info["infotexts"][info["index_of_first_image"] :]]

    @property
    def message(self) -> str:
        return str(self.raw.locator("#html_log_txt2img").first.inner_text())
