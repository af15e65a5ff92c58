"""A headless Chromium of Debian's, installed when it is missing."""

from __future__ import annotations

import logging
import shutil
import subprocess
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.chrome.service import Service

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("chromium", "chromium-driver")


def start() -> webdriver.Chrome:
    """A browser that nobody sees."""
    for name in ("selenium", "urllib3"):  # at DEBUG they tell of every word to the browser
        logging.getLogger(name).setLevel(logging.WARNING)
    if not (shutil.which("chromium") and shutil.which("chromedriver")):
        subprocess.run([ROOT / "tests/environments/packages", *PACKAGES], check=True, timeout=2400)
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for argument in (
        "--headless=new",
        "--no-sandbox",  # as root there is no other way
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--window-size=1400,900",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    driver.set_page_load_timeout(120)
    driver.set_script_timeout(120)
    return driver
