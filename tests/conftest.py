"""Fixtures shared by every test."""

from __future__ import annotations

from pathlib import Path

import pytest

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
