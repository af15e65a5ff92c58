"""Pages of fleets in a browser."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver

from dockerstorage_lib import fleet_page
from dockerstorage_lib.fleet import Host
from tests.browser import chromium, fleets


class Page:
    """A page of a fleet in the browser, and what a test asks of it."""

    def __init__(self, browser: webdriver.Chrome, path: Path) -> None:
        self.browser = browser
        self.path = path
        browser.get_log("performance")
        browser.get_log("browser")
        browser.get(path.as_uri())

    def ask(self, script: str, *args: Any) -> Any:
        """What a script returns."""
        return self.browser.execute_script(script, *args)

    def names(self) -> list[str]:
        """The hosts whose rows stand in the page, from above."""
        return self.ask("return [...document.querySelectorAll('.name')].map(n => n.textContent)")

    def filter(self, text: str = "", state: str = "") -> list[str]:
        """Type a filter and choose a state, as a reader does."""
        return self.ask(
            """for (const [id, value, event] of
                   [['text', arguments[0], 'input'], ['state', arguments[1], 'change']]) {
                 document.getElementById(id).value = value;
                 document.getElementById(id).dispatchEvent(new Event(event));
               }
               return [...document.querySelectorAll('.name')].map(n => n.textContent)""",
            text,
            state,
        )

    def emulate(self, width: int | None = None, scheme: str | None = None) -> None:
        """Show it on a screen of another width, or to somebody who likes it dark."""
        command = self.browser.execute_cdp_cmd
        if width is not None:
            command(
                "Emulation.setDeviceMetricsOverride",
                {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600},
            )
        if scheme is not None:
            features = [{"name": "prefers-color-scheme", "value": scheme}]
            command("Emulation.setEmulatedMedia", {"features": features})

    def requests(self) -> list[str]:
        """The addresses that the browser asked for since the page was opened."""
        messages = [json.loads(one["message"]) for one in self.browser.get_log("performance")]
        return [
            one["message"]["params"]["request"]["url"]
            for one in messages
            if one["message"]["method"] == "Network.requestWillBeSent"
        ]

    def complaints(self) -> list[str]:
        """What the browser's console says: errors, and breaches of the page's policy."""
        return [one["message"] for one in self.browser.get_log("browser")]


@pytest.fixture(scope="session")
def browser() -> Iterator[webdriver.Chrome]:
    driver = chromium.start()
    yield driver
    driver.quit()


@pytest.fixture
def show(browser: webdriver.Chrome, tmp_path: Path) -> Iterator[Callable[[list[Host]], Page]]:
    """A function that writes the page of a fleet and opens it."""

    def opened(hosts: list[Host]) -> Page:
        path = tmp_path / "fleet.html"
        path.write_text(fleet_page.page(hosts, fleets.NOW))
        return Page(browser, path)

    yield opened
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
