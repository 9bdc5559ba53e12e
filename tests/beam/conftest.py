"""An ear to ask; and the tiny model and the recordings of the transcriber's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.beam.ear import EarServer, ear_server
from tests.transcription.conftest import recordings, tiny_folder, tiny_model

__all__ = ["ear", "recordings", "tiny_folder", "tiny_model"]


@pytest.fixture
def ear() -> Iterator[EarServer]:
    with ear_server() as server:
        yield server
