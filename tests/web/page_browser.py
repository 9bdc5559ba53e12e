"""The page in a real browser: Chromium with a microphone that plays a recording, and a watch on what the page does."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import soundfile
from playwright.sync_api import ConsoleMessage, Page, Playwright, WebSocket

from tests.web.page_needs import chromium

# Nothing of the browser's own, no other host, and no question to the person who is not there.
FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]
ALLOWED = "--use-fake-ui-for-media-stream"
FAKE = "--use-fake-device-for-media-stream"

# Before a clip the microphone hears this much silence, so that a busy machine misses nothing.
LEAD_IN_SECONDS = 0.7
STARTING_SECONDS = 60


def microphone_of(clip: Path, folder: Path) -> list[str]:
    """The flags for a microphone that plays a recording once."""
    samples, rate = soundfile.read(clip, dtype="float32")
    path = folder / f"{clip.stem}.wav"
    silence = np.zeros(round(LEAD_IN_SECONDS * rate), np.float32)
    soundfile.write(path, np.concatenate([silence, samples]), rate, subtype="PCM_16")
    return [ALLOWED, FAKE, f"--use-file-for-fake-audio-capture={path}%noloop"]


class Visit:
    """A page that was opened, and what it did.

    Attributes:
        page: Playwright's.
        requests: method and address of each request, WebSockets with the method ``WS``.
        complaints: errors in the console, and those that nothing caught.
    """

    def __init__(self, page: Page, address: str) -> None:
        self.page, self.address = page, address
        self.requests: list[tuple[str, str]] = []
        self.complaints: list[str] = []
        page.context.on("request", lambda request: self.requests.append((request.method, request.url)))
        page.on("websocket", self._note_socket)
        page.on("console", self._note_console)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _note_socket(self, socket: WebSocket) -> None:
        self.requests.append(("WS", socket.url))

    def _note_console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.complaints.append(message.text)

    def hosts(self) -> set[str]:
        """The hosts that were asked for anything."""
        return {urlsplit(url).netloc for _, url in self.requests}

    def sent(self) -> list[tuple[str, str]]:
        """The requests with which sound could have left."""
        return [(method, url) for method, url in self.requests if method != "GET"]


@contextmanager
def visiting(
    playwright: Playwright,
    address: str,
    *flags: str,
    denied: bool = False,
    expected: str = "",
    script: str = "",
    **options: Any,
) -> Iterator[Visit]:
    """The page in a browser of its own, which is closed at the end; nothing may have gone wrong then.

    Args:
        playwright: starts the browser.
        address: of the page.
        flags: further ones of the browser, such as :func:`microphone_of` gives.
        denied: whether the microphone is refused.
        script: what runs before the page's own.
        expected: a pattern of errors that belong to the test.
        options: of the context, such as ``viewport``.
    """
    browser = playwright.chromium.launch(executable_path=chromium(), args=[*FLAGS, *flags])
    try:
        context = browser.new_context(**options)
        if denied:
            context.grant_permissions([])  # which denies all others
        context.set_default_timeout(30_000)
        visit = Visit(context.new_page(), address)
        visit.page.add_init_script(script)
        visit.page.goto(address)
        yield visit
        assert visit.hosts() == {urlsplit(address).netloc}, f"other hosts were asked: {visit.hosts()}"
        unexpected = [each for each in visit.complaints if not (expected and re.search(expected, each))]
        assert not unexpected, f"the console holds errors: {unexpected}"
    finally:
        browser.close()


@contextmanager
def served(*arguments: str, **environment: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """``tfwav2vec2 serve`` on a free port: its address, and the process."""
    command = [sys.executable, "-m", "tfwav2vec2", "serve", *arguments, "--port", "0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    ) as process:
        try:
            assert process.stdout is not None
            said = ""
            for line in process.stdout:
                said += line
                if found := re.search(r"http://\S+/", line):
                    break
            else:
                raise AssertionError(f"the server did not start: {said}")
            yield found[0], process
        finally:
            process.terminate()
            process.wait(STARTING_SECONDS)
