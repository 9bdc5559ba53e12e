"""Open speech: readings of LibriSpeech and LJ Speech by some 250 people, none of whom says digits one by one.

They teach what people sound like, letter by letter, and that most speech holds no digits. One reader in five is kept to measure on.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from recipes.spoken_digits.corpus import WORDS
from tfwav2vec2.audio.loading import SAMPLE_RATE, load_audio
from tfwav2vec2.data.manifest import read_manifest

FOLDERS = ("librispeech_251spk", "librispeech_3spk", "ljspeech32")
MEASURED_EVERY = 5


@dataclass(frozen=True)
class Reading:
    """Speech at 16 kHz: ``samples`` (samples,) float32, the words that are read, and a name."""

    samples: np.ndarray = field(repr=False, compare=False)
    words: tuple[str, ...]
    name: str

    @property
    def has_digits(self) -> bool:
        """Whether a digit's word is among them."""
        return not set(WORDS).isdisjoint(self.words)


def read_open_speech(data: Path) -> tuple[list[Reading], list[Reading]]:
    """The readings that teach, and those of other readers, to measure on."""
    examples = [
        example for example in read_manifest(data / "manifest.tsv") if example.id.split("/")[0] in FOLDERS
    ]
    folders: dict[str, set[str]] = {folder: set() for folder in FOLDERS}
    for example in examples:
        folders[example.id.split("/")[0]].add(str(example.speaker))
    # Of those who read one clip each: the others' many clips are worth more for teaching.
    many, *few = FOLDERS
    measured = set(sorted(folders[many].difference(*(folders[folder] for folder in few)))[::MEASURED_EVERY])
    teaching: list[Reading] = []
    others: list[Reading] = []
    for example in examples:
        letters = "".join(
            letter if letter.isalpha() or letter == "'" else " " for letter in str(example.target)
        )
        words = tuple(letters.upper().split())
        kept = others if str(example.speaker) in measured else teaching
        kept.append(Reading(load_audio(example.audio), words, example.id))
    return teaching, others


def stretch(readings: list[Reading], seconds: float, rng: np.random.Generator) -> np.ndarray:
    """A piece (samples,) of a reading without digits, of about so many seconds, from anywhere."""
    silent = [reading for reading in readings if not reading.has_digits]
    samples = silent[int(rng.integers(len(silent)))].samples
    length = min(round(seconds * SAMPLE_RATE), len(samples))
    start = int(rng.integers(len(samples) - length + 1))
    return samples[start : start + length]
