"""Fixtures shared by every test."""

from __future__ import annotations

import os
from pathlib import Path

import hypothesis
import pytest

# A machine that is busy with something else must not fail a property. Where a change is judged (CI), the examples are those
# of the last time, so that a change is refused for what it did; everywhere else new ones are drawn, which is how faults are found.
hypothesis.settings.register_profile("tfwav2vec2", deadline=None, derandomize="CI" in os.environ)
hypothesis.settings.load_profile("tfwav2vec2")

# Models that tests open leave no copies in the cache of whoever runs them.
os.environ.setdefault("TFWAV2VEC2_CACHE", "")

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real recordings that may lie beside the checkout; tests that need it skip without it."""
    folder = REPOSITORY.parent / "shared" / "data"
    if not (folder / "manifest.tsv").is_file():
        pytest.skip("needs the real recordings in ../shared/data, which are not part of the repository")
    return folder


@pytest.fixture(scope="session")
def spoken_digits() -> Path:
    """The folder of the embedded model."""
    return REPOSITORY / "saved_models" / "spoken-digits"
