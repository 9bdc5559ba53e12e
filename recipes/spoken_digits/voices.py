"""More voices out of those that there are: another pitch, another throat, another melody, made with the WORLD vocoder.

Four people are few, and what tells people apart is mostly how long their vocal tract is, which moves the formants, and how fast their
vocal folds swing. WORLD (Morise et al. 2016) takes a recording apart into fundamental frequency, spectral envelope and noise, so
that each can be changed by itself; playing a recording faster changes all of them, and the tempo, together.
"""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from tqdm import tqdm

from recipes.spoken_digits.corpus import Clip
from tfwav2vec2.audio.loading import SAMPLE_RATE
from tfwav2vec2.weights.files import write_atomically

FRAME_MILLISECONDS = 5.0

# The limits of the factors, which are drawn about the middle of their logarithms. Men's voices lie at about 110 Hz, women's at 200,
# children's at 260 and above.
PITCH = (0.7, 2.1)
FORMANTS = (0.82, 1.24)
MELODY = (0.4, 1.6)
# Of a range. Drawn evenly from limit to limit, most voices are nobody's, and strangers were read worse (lucas: 7.8 % for 5.7).
SPREAD = 0.17

# A high voice mostly has a short throat: so much of the formants' factor follows from the pitch's.
FOLLOWING = 0.5

VOICES_OF_A_SPEAKER = 6


@dataclass(frozen=True)
class Voice:
    """How a recording is changed: ``pitch`` and ``formants`` are factors, ``melody`` is the exponent of the pitch's movement."""

    pitch: float
    formants: float
    melody: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Voice:
        """A voice somebody might have."""
        high, own = rng.normal(0.5, SPREAD, 2)
        pitch = _within(PITCH, high)
        formants = _within(FORMANTS, FOLLOWING * high + (1 - FOLLOWING) * own)
        return cls(pitch, formants, float(rng.uniform(*MELODY)))


def _within(limits: tuple[float, float], share: float) -> float:
    """The factor at ``share`` (0 to 1, beyond which the limits hold) of the way from one limit to the other, in logarithms."""
    low, high = np.log(limits)
    return float(np.exp(low + np.clip(share, 0.0, 1.0) * (high - low)))


def revoice(samples: np.ndarray, voices: list[Voice]) -> list[np.ndarray]:
    """A recording (samples,) at 16 kHz in other voices, each of about its length and level."""
    import pyworld

    x = np.ascontiguousarray(samples, np.float64)
    coarse, times = pyworld.dio(x, SAMPLE_RATE, frame_period=FRAME_MILLISECONDS)
    pitch = pyworld.stonemask(x, coarse, times, SAMPLE_RATE)
    envelope = pyworld.cheaptrick(x, pitch, times, SAMPLE_RATE)
    noise = pyworld.d4c(x, pitch, times, SAMPLE_RATE)
    voiced = pitch > 0
    middle = float(np.exp(np.log(pitch[voiced]).mean())) if voiced.any() else 1.0
    loudness = np.sqrt(np.mean(x**2)) + 1e-9
    found = []
    for voice in voices:
        sung = np.where(voiced, middle * voice.pitch * (np.maximum(pitch, 1.0) / middle) ** voice.melody, 0.0)
        made = pyworld.synthesize(
            sung,
            _stretched(envelope, voice.formants),
            _stretched(noise, voice.formants),
            SAMPLE_RATE,
            FRAME_MILLISECONDS,
        )[: len(x)]
        level = np.sqrt(np.mean(made**2)) + 1e-9
        found.append((made * (loudness / level)).astype(np.float32))
    return found


def _stretched(spectrum: np.ndarray, factor: float) -> np.ndarray:
    """A spectrum (frames, bins) whose shape at a frequency is moved to ``factor`` times the frequency."""
    bins = spectrum.shape[1]
    place = np.minimum(np.arange(bins) / factor, bins - 1)
    below = np.minimum(place.astype(int), bins - 2)
    share = place - below
    logs = np.log(np.maximum(spectrum, 1e-16))
    return np.ascontiguousarray(np.exp(logs[:, below] * (1 - share) + logs[:, below + 1] * share))


def voices_of(speaker: str, count: int, seed: int) -> list[Voice]:
    """The voices that a speaker's recordings are given, whichever others there are."""
    digest = hashlib.sha256(f"{speaker}|{seed}".encode()).digest()
    rng = np.random.default_rng(list(digest))
    return [Voice.draw(rng) for _ in range(count)]


def revoiced_clips(
    clips: list[Clip], cache: Path, *, count: int = VOICES_OF_A_SPEAKER, seed: int = 0
) -> list[Clip]:
    """Every clip in ``count`` other voices, the same for all clips of a speaker; what ``cache`` holds already is read.

    Raises:
        ImportError: where pyworld is not installed.
    """
    if find_spec("pyworld") is None:
        raise ImportError(
            "new voices are made with pyworld, which is not installed: pip install -r requirements/voices.txt"
        )
    voices = {speaker: voices_of(speaker, count, seed) for speaker in {clip.speaker for clip in clips}}
    cache.mkdir(parents=True, exist_ok=True)

    def make(clip: Clip) -> list[Clip]:
        # What is kept is of these voices: others, drawn otherwise, have other names.
        drawn = hashlib.sha256(repr(voices[clip.speaker]).encode()).hexdigest()[:8]
        path = cache / f"{Path(clip.name).stem}_{drawn}.npy"
        if not path.exists():
            rows = np.stack(revoice(clip.samples, voices[clip.speaker]))
            with write_atomically(path) as temporary, temporary.open("wb") as file:
                np.save(file, rows.astype(np.float16))
        return [
            Clip(row.astype(np.float32), clip.words, f"{clip.speaker}*{number}", f"{clip.name}*{number}")
            for number, row in enumerate(np.load(path, allow_pickle=False))
        ]

    with ThreadPoolExecutor(2) as pool:
        made = tqdm(pool.map(make, clips), "new voices", len(clips), disable=None)
        return [clip for each in made for clip in each]
