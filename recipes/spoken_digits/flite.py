"""Four more people: the voices of Flite are made of recordings of them, three of CMU ARCTIC's speakers and one more.

Its pitch and its pace vary with each utterance, more than a person's do.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from recipes.spoken_digits.corpus import WORDS
from recipes.spoken_digits.synthesizers import phrase_length, run

PROGRAM = "flite"
# The pitch of each in Hz.
VOICES = {"kal16": 96, "awb": 128, "rms": 98, "slt": 186}


@dataclass(frozen=True)
class FliteUtterance:
    """What to say and how: ``pitch`` in Hz, ``duration`` in per cent of the voice's own."""

    words: tuple[str, ...]
    voice: str
    pitch: int
    duration: int

    @property
    def name(self) -> str:
        """A file name that says everything that decides the sound."""
        return f"{'-'.join(self.words).lower()}_{PROGRAM}-{self.voice}_p{self.pitch}_d{self.duration}.wav"

    def speak(self, path: Path) -> None:
        """Write it as a WAV file.

        Raises:
            FileNotFoundError: where Flite is not installed.
            OSError: where it lacks the voice, or cannot speak.
        """
        if self.voice not in _installed():  # it would speak with another one and say nothing
            raise OSError(
                f"this {PROGRAM} lacks the voice {self.voice}; install version 2.2 with its usual voices"
            )
        settings = {"duration_stretch": self.duration / 100, "int_f0_target_mean": self.pitch}
        options = [part for name, value in settings.items() for part in ("--setf", f"{name}={value}")]
        run(PROGRAM, "-voice", self.voice, *options, "-t", " ".join(self.words).lower(), "-o", str(path))


@cache
def _installed() -> frozenset[str]:
    """The names of its voices."""
    return frozenset(run(PROGRAM, "-lv").split())


def draw_utterances(count: int, rng: np.random.Generator) -> list[FliteUtterance]:
    """Draw what to say, as often with each voice: half are single words, half phrases of 2 to 8 words."""
    utterances = []
    for number in range(count):
        words = phrase_length(number, rng)
        voice, own = list(VOICES.items())[number // 2 % len(VOICES)]
        utterances.append(
            FliteUtterance(
                tuple(str(word) for word in rng.choice(WORDS, words)),
                voice,
                round(own * rng.uniform(0.8, 1.25)),
                int(rng.integers(55, 120)),  # people who dictate speak faster than its voices
            )
        )
    return utterances
