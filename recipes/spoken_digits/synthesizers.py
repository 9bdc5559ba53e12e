"""Programs that speak, each with voices of its own, and their clips, which are rendered once and kept in a cache folder."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

import numpy as np
from tqdm import tqdm

from recipes.spoken_digits.corpus import Clip
from tfwav2vec2.audio.loading import SAMPLE_RATE, load_audio
from tfwav2vec2.weights.files import write_atomically

# Below this fraction of the peak the ends of a rendering count as silence (-40 dB).
SILENCE = 0.01

LONGEST_PHRASE = 8


class Utterance(Protocol):
    """What to say and how."""

    @property
    def words(self) -> tuple[str, ...]:
        """What to say."""

    @property
    def voice(self) -> str:
        """Who says it."""

    @property
    def name(self) -> str:
        """A file name that says everything that decides the sound."""

    def speak(self, path: Path) -> None:
        """Write it as a WAV file.

        Raises:
            FileNotFoundError: where the program is not installed.
            OSError: where it lacks the voice, or cannot speak.
        """


def run(program: str, *arguments: str) -> str:
    """What a program prints. Its package in Debian has its name.

    Raises:
        FileNotFoundError: where it is not installed.
        OSError: where it fails.
    """
    path = shutil.which(program)
    if path is None:
        raise FileNotFoundError(
            f"{program} is not installed: install it (Debian: apt-get install {program}) and run this again"
        )
    # The program was found on the path and the arguments are this project's own: nothing comes from outside.
    result = subprocess.run([path, *arguments], capture_output=True, text=True, check=False)  # noqa: S603
    if result.returncode:
        raise OSError(f"{program} {' '.join(arguments)} failed: {result.stderr.strip()}")
    return result.stdout


def render(utterances: Sequence[Utterance], cache: Path) -> list[Clip]:
    """Speak every utterance into a clip, reading those that ``cache`` already holds.

    Raises:
        FileNotFoundError, OSError: as :meth:`Utterance.speak` does.
    """
    cache.mkdir(parents=True, exist_ok=True)

    def clip(utterance: Utterance) -> Clip:
        path = cache / utterance.name
        if not path.exists():
            with write_atomically(path) as temporary:
                utterance.speak(temporary)
        return Clip(trim(load_audio(path)), utterance.words, utterance.voice, utterance.name)

    with ThreadPoolExecutor(2) as pool:
        return list(tqdm(pool.map(clip, utterances), "clips", len(utterances), disable=None))


def phrase_length(number: int, rng: np.random.Generator) -> int:
    """How many words the utterance of this number says: every other one is a single word, the others are phrases."""
    return 1 if number % 2 == 0 else int(rng.integers(2, LONGEST_PHRASE + 1))


def trim(samples: np.ndarray) -> np.ndarray:
    """Cut silence off both ends, as the recordings are cut, but for 10 ms."""
    loud = np.flatnonzero(np.abs(samples) > SILENCE * np.max(np.abs(samples), initial=0.0))
    if not loud.size:
        return samples
    margin = SAMPLE_RATE // 100
    return samples[max(loud[0] - margin, 0) : loud[-1] + margin]
