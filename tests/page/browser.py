"""A real Chromium for tests of pages: headless, shared, and never downloaded."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CHROMIUM, DRIVER = "chromium", "chromedriver"
AXE = Path(__file__).parent / "vendor" / "axe.min.js"
WAIT_S = 20.0


def found(name: str) -> str:
    """Where a program is; the test is skipped where it is not, but in continuous integration it fails."""
    path = shutil.which(name)
    if path is None:
        reason = f"there is no {name}; Debian's packages are chromium and chromium-driver"
        if os.environ.get("CI") or os.environ.get("SNE_TEST_BROWSER") == "required":
            pytest.fail(reason)
        pytest.skip(reason)
    return path


class Browser:
    """One browser, and what it did."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def run(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def command(self, name: str, **parameters: Any) -> Any:
        """Of the DevTools protocol."""
        return self.driver.execute_cdp_cmd(name, parameters)

    def open(self, path: Path, *, width: int = 1280, dark: bool = False) -> None:
        """Show a file, and wait until all of its figures are drawn; what was logged before is forgotten."""
        self.command("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1,
                     mobile=width < 500)  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.command("Emulation.setEmulatedMedia", media="", features=[scheme])
        self.driver.get_log("browser")
        self.driver.get_log("performance")
        self.driver.get(path.as_uri())
        self.until("return document.documentElement.dataset.drawnMs")

    def until(self, script: str, *arguments: Any) -> Any:
        """What a script returns, once that is true."""
        end = time.monotonic() + WAIT_S
        while not (value := self.run(script, *arguments)):
            assert time.monotonic() < end, f"never true: {script}"
            time.sleep(0.02)
        return value

    def logged(self) -> list[str]:
        """What the page wrote to the console since it was opened; errors that its scripts threw, too."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requests(self) -> list[str]:
        """Addresses that were asked for since the page was opened, but for data in the page itself."""
        messages = (json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance"))
        asked = [each["params"]["request"]["url"] for each in messages
                 if each["method"] == "Network.requestWillBeSent"]  # fmt: skip
        return [url for url in asked if not url.startswith("data:")]

    def violations(self) -> list[str]:
        """What axe-core finds wrong."""
        self.run(AXE.read_text(encoding="utf-8"))
        script = (
            "axe.run().then(r => arguments[0](r.violations), e => arguments[0]([{id: String(e), nodes: []}]))"
        )
        result = self.driver.execute_async_script(script)
        return [f"{each['id']}: {[node['html'][:200] for node in each['nodes'][:3]]}" for each in result]


@contextmanager
def started() -> Iterator[Browser]:
    """Start a browser, and end it."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = found(CHROMIUM)
    for argument in ("headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage", "hide-scrollbars"):
        options.add_argument(f"--{argument}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(found(DRIVER)))
    try:
        driver.set_script_timeout(WAIT_S)
        yield Browser(driver)
    finally:
        driver.quit()
