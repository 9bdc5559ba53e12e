"""The recordings: the Free Spoken Digit Dataset, and which clip may be used for what.

Source: https://github.com/Jakobovski/free-spoken-digit-dataset, CC BY-SA 4.0. Files are named
``{digit}_{speaker}_{index}.wav``; each speaker said each digit 50 times.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from tfwav2vec2.audio.loading import load_audio

# The word of each digit.
WORDS = ("ZERO", "ONE", "TWO", "THREE", "FOUR", "FIVE", "SIX", "SEVEN", "EIGHT", "NINE")

SPEAKERS = ("george", "jackson", "lucas", "nicolas", "yweweler")

# The dataset's own test split, and the clips after it that choose the checkpoint.
TEST_INDICES = range(5)
VALIDATION_INDICES = range(5, 8)


def written(words: Iterable[str]) -> str:
    """How the model writes words: "703" for SEVEN ZERO THREE."""
    return "".join(str(WORDS.index(word)) for word in words)


def spoken(transcript: str) -> tuple[str, ...]:
    """The words of a transcript, whether it is written in digits or in letters."""
    if any(symbol.isdigit() for symbol in transcript):
        return tuple(WORDS[int(symbol)] for symbol in transcript if symbol.isdigit())
    return tuple(transcript.split())


Split = Literal["train", "validation", "heard", "unheard"]
SPLITS: tuple[Split, ...] = ("train", "validation", "heard", "unheard")


@dataclass(frozen=True)
class Clip:
    """Speech at 16 kHz: ``samples`` (samples,) float32, the words said in it, who said them, and a name."""

    samples: np.ndarray = field(repr=False, compare=False)
    words: tuple[str, ...]
    speaker: str
    name: str


def split_of(speaker: str, index: int, left_out: str | None = None) -> Split:
    """The one split that a recording belongs to.

    ``heard`` is the test of the speakers in training, ``unheard`` everything of the speaker who was left out: none of it is ever
    trained on or selected with.
    """
    if speaker == left_out:
        return "unheard"
    if index in TEST_INDICES:
        return "heard"
    return "validation" if index in VALIDATION_INDICES else "train"


def read_recordings(data: Path, left_out: str | None = None) -> dict[Split, list[Clip]]:
    """Read every recording of ``data``/fsdd/recordings, in the order of the file names, into its split.

    Args:
        data: the folder.
        left_out: the speaker who is a stranger to the model, as one is in each fold of a cross-validation; None for nobody.

    Raises:
        ValueError: for a speaker who is not in the data.
        FileNotFoundError: where the folder holds no recordings.
    """
    if left_out is not None and left_out not in SPEAKERS:
        raise ValueError(f"no speaker is called {left_out!r}; the speakers are {', '.join(SPEAKERS)}")
    folder = data / "fsdd" / "recordings"
    paths = sorted(folder.glob("*.wav"))
    if not paths:
        raise FileNotFoundError(
            f"{folder} holds no .wav files; name the folder that contains fsdd/recordings (the Free Spoken Digit Dataset)"
        )
    splits: dict[Split, list[Clip]] = {split: [] for split in SPLITS}
    for path in paths:
        digit, speaker, index = path.stem.split("_")
        clip = Clip(load_audio(path), (WORDS[int(digit)],), speaker, path.name)
        splits[split_of(speaker, int(index), left_out)].append(clip)
    return splits


def by_speaker(clips: list[Clip]) -> dict[str, list[Clip]]:
    """The clips of each speaker, in the given order."""
    speakers: dict[str, list[Clip]] = defaultdict(list)
    for clip in clips:
        speakers[clip.speaker].append(clip)
    return dict(speakers)
