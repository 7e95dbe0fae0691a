"""The WebUI's page in a real headless Chromium, driven as a user would: clicks, typing, looking."""

from __future__ import annotations

import json
import os
import re
import time
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
sync_api.expect.set_options(timeout=PATIENCE_MS)
SCRIPT = "#script_txt2img_hps"


@contextmanager
def opened(
    url: str, *, width: int = 1400, height: int = 1000, login: tuple[str, str] | None = None, **context: Any
) -> Iterator[Page]:
    """A fresh browser on the page.

    Args:
        login: user name and password of `--gradio-auth`.
        context: more for the browser, such as `http_credentials`, `has_touch`.
    """
    with sync_api.sync_playwright() as playwright:
        options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage"]
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=options)
        try:
            raw = chromium.new_context(viewport={"width": width, "height": height}, **context).new_page()
            raw.set_default_timeout(PATIENCE_MS)
            # fonts and a script of gradio's that the page asks the internet for: it must do without
            raw.route(re.compile(r"^https?://(?!127\.0\.0\.1)"), lambda route: route.abort())
            page = Page(raw)
            page.open(url, login)
            yield page
        finally:
            chromium.close()


class Page:
    """What is done with the page; `raw` is Playwright's own.

    Attributes:
        errors: what JavaScript threw since the page was opened.
        form: the tab that is filled and started, "txt2img" or "img2img".
    """

    def __init__(self, raw: Any) -> None:
        self.raw = raw
        self.errors: list[str] = []
        self.form = "txt2img"
        self._events: set[Any] = set()
        raw.on("pageerror", lambda error: self._note(str(error)))
        raw.on("websocket", self._follow)
        raw.on("framenavigated", lambda _: self._events.clear())

    @property
    def script(self) -> str:
        """Begins the names of the script's components."""
        return f"#script_{self.form}_hps"

    def _note(self, error: str) -> None:
        if error not in OF_THE_HOST:
            self.errors.append(error)

    def _follow(self, event: Any) -> None:
        """gradio 3.41 opens a WebSocket for each event, and closes it when the event is through."""
        self._events.add(event)
        event.on("close", lambda event: self._events.discard(event))

    def settle(self) -> None:
        """Wait until no event is on its way for a second: all that happens when a page opens, above all.

        One that is cut off (its page closed or reloaded) leaves gradio 3.41 a task that never ends, and "Reload UI"
        waits for it without end: before a reload, settle.
        """
        deadline = time.monotonic() + PATIENCE_MS / 1000
        quiet_ms = 0
        while quiet_ms < 1000:
            self.raw.wait_for_timeout(100)
            quiet_ms = 0 if self._events else quiet_ms + 100
            assert time.monotonic() < deadline, "the page's events do not end"

    def open(self, url: str, login: tuple[str, str] | None = None) -> None:
        self.raw.goto(url)
        if login:
            for label, value in zip(("username", "password"), login, strict=True):
                self.raw.get_by_label(label).fill(value)
            self.raw.get_by_role("button", name="Login").click()
        self.raw.locator("#txt2img_generate").wait_for()
        self.settle()  # the WebUI's own scripts wire the page after it is there

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
        """The form, small enough for a CPU."""
        self.text(f"#{self.form}_prompt", prompt or "red heart, noto style")
        self.choose(f"#{self.form}_sampling", "DDIM")
        for name, number in (
            ("steps", steps),
            ("width", 64),
            ("height", 64),
            ("batch_count", count),
            ("batch_size", size),
            ("cfg_scale", 5),
            ("seed", seed),
        ):
            self.number(f"#{self.form}_{name}", number)

    def choose_script(self, *, scorer: str = "tiny-hps", **options: float) -> None:
        """The script HPS in the form, with numbers of its form."""
        self.choose(f"#{self.form}_script_container #script_list", "HPS")
        self.choose(f"{self.script}_scorer", scorer)
        for name, value in options.items():
            self.number(f"{self.script}_{name}", value)

    def start(self) -> None:
        """Press Generate."""
        self.raw.locator(f"#{self.form}_generate").click()
        self.raw.locator(f"#{self.form}_interrupt").wait_for(state="visible")

    def wait_for_result(self) -> None:
        self.raw.locator(f"#{self.form}_interrupt, #{self.form}_interrupting").first.wait_for(state="hidden")
        self.raw.locator(f"#{self.form}_interrupting").wait_for(state="hidden")
        self.raw.locator(f"#html_log_{self.form} .performance, #html_log_{self.form} .error").first.wait_for(
            state="attached"
        )
        self.raw.wait_for_timeout(500)

    @property
    def info(self) -> dict[str, Any]:
        """What the page knows of the gallery."""
        result: dict[str, Any] = json.loads(self.raw.locator(f"#generation_info_{self.form} textarea").input_value())
        return result

    @property
    def generations(self) -> list[Generation]:
        """Of the gallery's pictures, without the grid."""
        info = self.info
        return [parse_infotext(text) for text in info["infotexts"][info["index_of_first_image"] :]]

    @property
    def message(self) -> str:
        return str(self.raw.locator(f"#html_log_{self.form}").first.inner_text())
