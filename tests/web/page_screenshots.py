"""The pictures in docs/live.md: ``python -m tests.web.page_screenshots``, with the font Inter installed."""

from __future__ import annotations

import os
import tempfile
import urllib.request
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, Playwright, expect, sync_playwright

from tests.conftest import REPOSITORY
from tests.web.page_browser import microphone_of, served, visiting

DOCS = REPOSITORY / "docs"
CLIPS = REPOSITORY / "demo" / "clips"
DESK = {"viewport": {"width": 860, "height": 690}, "device_scale_factor": 1.5}
PHONE = {"viewport": {"width": 360, "height": 720}, "device_scale_factor": 2}


def hear(page: Page, text: str, *, stop: bool) -> None:
    """Have the page hear ``text``, and show it while it listens or when it is done."""
    page.get_by_role("button", name="Speak").click()
    expect(page.locator("#partial")).to_have_text(text)
    if stop:
        page.get_by_role("button", name="Stop").click()
        expect(page.locator("body")).to_have_attribute("data-state", "done")
    page.mouse.move(1, 1)
    page.wait_for_timeout(300)


def picture(
    playwright: Playwright,
    address: str,
    name: str,
    clip: str,
    text: str,
    *,
    here: bool,
    stop: bool,
    **options: Any,
) -> None:
    """One picture.

    Args:
        playwright: starts the browser.
        address: of the page.
        name: of the file in docs.
        clip: that the microphone plays.
        text: what is heard when the picture is taken.
        here: whether the model runs in the browser.
        stop: whether the recording is over.
        options: of the browser's context.
    """
    with tempfile.TemporaryDirectory() as folder:
        flags = microphone_of(CLIPS / f"{clip}.flac", Path(folder))
        with visiting(playwright, address, *flags, **options) as opened:
            if here:
                opened.page.get_by_label("In this browser").check()
                expect(opened.page.locator("#status")).to_have_text("Ready")
            hear(opened.page, text, stop=stop)
            opened.page.screenshot(path=DOCS / f"{name}.png")


def main() -> None:
    """Take them all."""
    expect.set_options(timeout=60_000)
    with sync_playwright() as playwright, served(**os.environ) as (address, _):
        # The server makes the file for browsers when it is first asked.
        urllib.request.urlopen(f"{address}model.tflite", timeout=300).close()
        picture(
            playwright, address, "live_listening", "eight_digits", "58316092", here=False, stop=False, **DESK
        )
        picture(
            playwright,
            address,
            "live_dark",
            "six_digits",
            "194702",
            here=True,
            stop=True,
            color_scheme="dark",
            **DESK,
        )
        picture(playwright, address, "live_phone", "four_digits", "2695", here=False, stop=False, **PHONE)


if __name__ == "__main__":
    main()
