"""Fixtures shared by every test."""

from __future__ import annotations

from pathlib import Path

import hypothesis
import pytest

# A machine that is busy with something else must not fail a property.
hypothesis.settings.register_profile("tfwav2vec2", deadline=None)
hypothesis.settings.load_profile("tfwav2vec2")

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
