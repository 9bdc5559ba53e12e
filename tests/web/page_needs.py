"""What the tests of the page need besides Python packages: node, Chromium, LiteRT.js."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest

from tfwav2vec2.web.litert_runtime import VARIABLE, find_runtime

# What Chromium is called on Debian, Ubuntu and elsewhere.
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def missing(what: str) -> NoReturn:
    """Skip, saying why; where a change is judged (CI), nothing may be missing."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI has to have {what}")
    pytest.skip(f"needs {what}", allow_module_level=True)


def node() -> str:
    """The program ``node``."""
    return shutil.which("node") or missing("node, version 20 or later")


def chromium() -> str:
    """A browser."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    return found or missing("Chromium: apt-get install chromium")


def runtime() -> Path:
    """The folder of LiteRT.js."""
    found = find_runtime(None)
    return found or missing(f"npm install @litertjs/core@2.5.3, and {VARIABLE}=node_modules/@litertjs/core")
