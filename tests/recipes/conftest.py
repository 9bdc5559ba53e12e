from __future__ import annotations

import shutil
from collections.abc import Callable

import numpy as np
import pytest

from recipes.spoken_digits.augmentation import Surroundings
from recipes.spoken_digits.corpus import WORDS, Clip
from tfwav2vec2.audio.loading import SAMPLE_RATE


def tone(word: int, speaker: str, index: int) -> Clip:
    """A stand-in for a recording: a tone whose pitch is the digit's."""
    seconds = 0.2 + 0.03 * index
    samples = np.sin(2 * np.pi * (300 + 100 * word) * np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE)
    name = f"{word}_{speaker}_{index}.wav"
    return Clip(0.3 * samples.astype(np.float32), (WORDS[word],), speaker, name)


@pytest.fixture(scope="session")
def tones() -> list[Clip]:
    return [
        tone(word, speaker, index) for speaker in ("ann", "bob") for word in range(10) for index in range(3)
    ]


@pytest.fixture(scope="session")
def surroundings(tones: list[Clip]) -> Surroundings:
    return Surroundings.make(tones, np.random.default_rng(0))


@pytest.fixture(scope="session")
def needs() -> Callable[[str], None]:
    """Skips where a synthesizer is not installed."""

    def check(program: str) -> None:
        if shutil.which(program) is None:
            pytest.skip(f"needs {program} (apt-get install {program})")

    return check


@pytest.fixture(scope="session")
def espeak_ng(needs: Callable[[str], None]) -> None:
    """Skips where eSpeak NG is not installed."""
    needs("espeak-ng")
