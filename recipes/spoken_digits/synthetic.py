"""More voices: digits spoken by eSpeak NG, rendered when the recipe runs and kept in a cache folder.

Four human voices are few. The synthesizer's voices add accents, pitches, speaking rates and the band above 4 kHz,
which the recordings (8 kHz) do not have, and phrases whose words run into each other.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from recipes.spoken_digits.corpus import WORDS, Clip
from recipes.spoken_digits.espeak import run
from tfwav2vec2.audio.loading import SAMPLE_RATE, load_audio
from tfwav2vec2.weights.files import write_atomically

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

LONGEST_PHRASE = 8

# Below this fraction of the peak the ends of a rendering count as silence (-40 dB).
SILENCE = 0.01

# eSpeak NG's own defaults: never drawn, so that its plain output stays unheard.
DEFAULT_RATE, DEFAULT_PITCH = 175, 50


@dataclass(frozen=True)
class Utterance:
    """What to say and how: ``rate`` in words a minute, ``pitch`` from 0 to 99."""

    words: tuple[str, ...]
    voice: str
    rate: int
    pitch: int

    @property
    def name(self) -> str:
        """A file name that says everything that decides the sound."""
        return f"{'-'.join(self.words).lower()}_{self.voice}_r{self.rate}_p{self.pitch}.wav"


def draw_utterances(count: int, variants: tuple[str, ...], rng: np.random.Generator) -> list[Utterance]:
    """Draw what to say: half are single words, half phrases of 2 to 8 words."""
    utterances = []
    for number in range(count):
        words = 1 if number % 2 == 0 else int(rng.integers(2, LONGEST_PHRASE + 1))
        variant = str(rng.choice(variants))
        rate, pitch = int(rng.integers(110, 230)), int(rng.integers(15, 90))
        if (rate, pitch) == (DEFAULT_RATE, DEFAULT_PITCH):
            pitch += 1
        voice = str(rng.choice(ACCENTS)) + (f"+{variant}" if variant else "")
        utterances.append(
            Utterance(tuple(str(word) for word in rng.choice(WORDS, words)), voice, rate, pitch)
        )
    return utterances


def render(utterances: list[Utterance], cache: Path) -> list[Clip]:
    """Speak every utterance into a clip, reading those that ``cache`` already holds.

    Raises:
        FileNotFoundError: where eSpeak NG is not installed.
        OSError: where it lacks a voice, or cannot speak.
    """
    _check_voices({utterance.voice for utterance in utterances})
    cache.mkdir(parents=True, exist_ok=True)

    def speak(utterance: Utterance) -> Clip:
        path = cache / utterance.name
        if not path.exists():
            _speak_to(utterance, path)
        return Clip(trim(load_audio(path)), utterance.words, utterance.voice, utterance.name)

    with ThreadPoolExecutor(2) as pool:
        return list(tqdm(pool.map(speak, utterances), "synthetic voices", len(utterances), disable=None))


def _check_voices(voices: set[str]) -> None:
    """Refuse voices that are not installed: eSpeak NG itself would speak with another one and say nothing."""
    listed = run("--voices=en") + run("--voices=variant")
    known = set(listed.split())
    parts = [(voice.partition("+")[0], voice.partition("+")[2]) for voice in voices]
    missing = {accent for accent, _ in parts if accent not in known}
    missing |= {variant for _, variant in parts if variant and f"!v/{variant}" not in known}
    if missing:
        raise OSError(
            f"this espeak-ng lacks the voices {', '.join(sorted(missing))}; install version 1.51 or a later one"
        )


def _speak_to(utterance: Utterance, path: Path) -> None:
    options = ("-v", utterance.voice, "-s", str(utterance.rate), "-p", str(utterance.pitch))
    with write_atomically(path) as temporary:
        run(*options, "-w", str(temporary), " ".join(utterance.words).lower())


def trim(samples: np.ndarray) -> np.ndarray:
    """Cut silence off both ends, as the recordings are cut, but for 10 ms."""
    loud = np.flatnonzero(np.abs(samples) > SILENCE * np.max(np.abs(samples), initial=0.0))
    if not loud.size:
        return samples
    margin = SAMPLE_RATE // 100
    return samples[max(loud[0] - margin, 0) : loud[-1] + margin]
