"""The ranking board in the WebUI's page, used as a person does: clicks, keys, looking."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

from PIL import Image
from webui_page import Page, sync_api
from webui_runs import saved_files
from webui_server import WebUI

expect = sync_api.expect


class Board:
    """The board of one tab of an open page.

    Attributes:
        raw: Playwright's page.
    """

    def __init__(self, webui: WebUI, page: Page, tab: str = "txt2img") -> None:
        self.webui, self.page, self.raw, self.tab = webui, page, page.raw, tab
        self.script = f"#script_{tab}_hps"
        self.node = page.raw.locator(f"{self.script}_board .hps-board")

    def choose(self) -> None:
        """Script HPS, mode Rank."""
        self.page.choose(f"#{self.tab}_script_container #script_list", "HPS")
        self.mode("Rank")
        self.button("Start").wait_for()

    def mode(self, name: str) -> None:
        self.raw.locator(f"{self.script}_mode").get_by_label(name, exact=True).click()

    def button(self, name: str) -> Any:
        return self.node.get_by_role("button", name=name, exact=True)

    def start(self, *, count: int = 4) -> str:
        """Begin with so many pictures a round; gives the session's id."""
        self.node.get_by_label("Pictures a round").fill(str(count))
        self.button("Start").click()
        self.wait_for_round(1, count)
        return self.session

    def wait_for_round(self, number: int, count: int = 4) -> None:
        """All pictures of a round are on the screen and nothing runs."""
        self.node.locator(".hps-say b", has_text=re.compile(f"^Round {number}$")).wait_for()
        expect(self.node.locator(".hps-picture:not([hidden])")).to_have_count(count)
        self.node.locator(".hps-running").wait_for(state="hidden")

    @property
    def session(self) -> str:
        return str(self.raw.locator(f"{self.script}_session textarea").input_value())

    @property
    def state(self) -> dict[str, Any]:
        state: dict[str, Any] = self.webui.get(f"/hps/v1/sessions/{self.session}")
        return state

    @property
    def orders(self) -> list[Any]:
        return [answer["order"] for answer in self.state["history"]]

    def keys(self, *names: str) -> None:
        for name in names:
            self.raw.keyboard.press(name)

    def pick(self, *numbers: int) -> None:
        for number in numbers:
            self.node.get_by_role("button", name=re.compile(f"^Picture {number},")).click()

    @property
    def order(self) -> str:
        """The half-made ranking as the page shows it: "3 > 1 = 2"."""
        tiers = self.node.locator(".hps-tier").all()
        chips = [[chip.get_attribute("data-chip") for chip in tier.locator("[data-chip]").all()] for tier in tiers]
        return " > ".join(" = ".join(str(number) for number in tier) for tier in chips)

    def open(self, name: str) -> None:
        """A session of the list."""
        self.node.get_by_role("button", name=f"Open {name}", exact=True).first.click()

    def finish(self, width: int, height: int) -> Path:
        """Draw the winner larger; gives the file that the WebUI saved."""
        self.wait_until_idle()  # a round's pictures are shown before the last of them is saved
        before = saved_files(self.webui)
        self.button("Finish").click()
        dialog = self.node.get_by_role("dialog", name="Finish")
        dialog.get_by_label("Width").fill(str(width))
        dialog.get_by_label("Height").fill(str(height))
        dialog.get_by_role("button", name="Finish", exact=True).click()
        self.node.locator(".hps-final").first.wait_for()
        self.wait_until_idle()
        (file,) = (f for f in saved_files(self.webui) - before if size_of(f) == (width, height))
        return file

    def wait_until_idle(self) -> None:
        """The WebUI itself is done, and the result is on the page."""
        self.raw.locator(f"#{self.tab}_interrupt").wait_for(state="hidden")
        self.raw.locator(f"#{self.tab}_interrupting").wait_for(state="hidden")
        self.page.settle()

    def generate(self) -> Path:
        """Press Generate for one picture; gives the file that the WebUI saved."""
        before = saved_files(self.webui)
        self.raw.locator(f"#{self.tab}_generate").click()
        self.raw.locator(f"#{self.tab}_interrupt").wait_for(state="visible")
        self.wait_until_idle()
        (file,) = saved_files(self.webui) - before
        return file


def size_of(file: Path) -> tuple[int, int]:
    with Image.open(file) as image:
        return image.size


def until(is_so: Any, *, patience_s: float = 120.0) -> None:
    """Wait for something that the page does not show."""
    end = time.monotonic() + patience_s
    while not is_so():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.1)
