"""More voices: digits spoken by eSpeak NG.

Five human voices are few. The synthesizer's voices add accents, pitches, speaking rates and the band above 4 kHz,
which the recordings (8 kHz) do not have, and phrases whose words run into each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from recipes.spoken_digits.corpus import WORDS
from recipes.spoken_digits.synthesizers import phrase_length, run

PROGRAM = "espeak-ng"

ACCENTS = (
    *(
        "en-us",
        "en-gb",
        "en-gb-x-rp",
        "en-gb-scotland",
        "en-gb-x-gbclan",
        "en-gb-x-gbcwmd",
        "en-029",
        "en-us-nyc",
    ),
)

# eSpeak NG's variants change the voice of an accent; whispers and special effects are left out.
VARIANTS = (
    *(
        "",
        "Alex",
        "Alicia",
        "Andrea",
        "Andy",
        "Annie",
        "Denis",
        "Diogo",
        "Gene",
        "Henrique",
        "Hugo",
        "Jacky",
        "Lee",
    ),
    *("Marco", "Mario", "Michael", "Mike", "Nguyen", "Storm", "adam", "anika", "antonio", "aunty", "belinda"),
    *(
        "benjamin",
        "boris",
        "caleb",
        "david",
        "ed",
        "edward",
        "f1",
        "f2",
        "f3",
        "f4",
        "grandma",
        "grandpa",
        "gustave",
    ),
    *(
        "iven",
        "john",
        "klatt",
        "klatt2",
        "klatt4",
        "linda",
        "m1",
        "m2",
        "m3",
        "m5",
        "m6",
        "m8",
        "marcelo",
        "max",
    ),
    *(
        "michel",
        "miguel",
        "norbert",
        "pablo",
        "paul",
        "pedro",
        "quincy",
        "rob",
        "robert",
        "sandro",
        "shelby",
        "steph",
    ),
    *("travis", "victor", "zac"),
)

# Voices that only choose the checkpoint, so that it is chosen for strangers too.
VALIDATION_VARIANTS = ("Gene2", "Tweaky", "edward2", "f5", "iven3", "klatt3", "m4", "m7", "steph2")

# eSpeak NG's own defaults: never drawn, so that its plain output stays unheard.
DEFAULT_RATE, DEFAULT_PITCH = 175, 50


@dataclass(frozen=True)
class EspeakUtterance:
    """What to say and how: ``rate`` in words a minute, ``pitch`` from 0 to 99."""

    words: tuple[str, ...]
    voice: str
    rate: int
    pitch: int

    @property
    def name(self) -> str:
        """A file name that says everything that decides the sound."""
        return f"{'-'.join(self.words).lower()}_{self.voice}_r{self.rate}_p{self.pitch}.wav"

    def speak(self, path: Path) -> None:
        """Write it as a WAV file.

        Raises:
            FileNotFoundError: where eSpeak NG is not installed.
            OSError: where it lacks the voice, or cannot speak.
        """
        accent, _, variant = self.voice.partition("+")
        for name, listed in ((accent, accent), (variant, f"!v/{variant}")):
            if name and listed not in _installed():  # it would speak with another voice and say nothing
                raise OSError(f"this {PROGRAM} lacks the voice {name}; install version 1.51 or a later one")
        options = ("-v", self.voice, "-s", str(self.rate), "-p", str(self.pitch))
        run(PROGRAM, *options, "-w", str(path), " ".join(self.words).lower())


@cache
def _installed() -> frozenset[str]:
    """The names of accents, and of variants with ``!v/`` before them."""
    return frozenset((run(PROGRAM, "--voices=en") + run(PROGRAM, "--voices=variant")).split())


def draw_utterances(count: int, variants: tuple[str, ...], rng: np.random.Generator) -> list[EspeakUtterance]:
    """Draw what to say: half are single words, half phrases of 2 to 8 words."""
    utterances = []
    for number in range(count):
        words = phrase_length(number, rng)
        variant = str(rng.choice(variants))
        rate, pitch = int(rng.integers(110, 230)), int(rng.integers(15, 90))
        if (rate, pitch) == (DEFAULT_RATE, DEFAULT_PITCH):
            pitch += 1
        voice = str(rng.choice(ACCENTS)) + (f"+{variant}" if variant else "")
        utterances.append(
            EspeakUtterance(tuple(str(word) for word in rng.choice(WORDS, words)), voice, rate, pitch)
        )
    return utterances
