"""Clips to strings of digits: "ONE TWO THREE" out of three clips, with pauses, in one waveform."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import soxr

from recipes.spoken_digits.augmentation import (
    TELEPHONE_RATE,
    Surroundings,
    change_speed,
    decibels,
    rms,
)
from recipes.spoken_digits.corpus import Clip, written
from tfwav2vec2.audio.loading import SAMPLE_RATE

FADE = (
    SAMPLE_RATE // 200
)  # 5 ms at each end of a clip: the recordings are cut tight, and a click is not speech

LONGEST = 8


@dataclass(frozen=True)
class DigitString:
    """A waveform (samples,) at 16 kHz, the words said in it, and the clips that it was joined from."""

    samples: np.ndarray = field(repr=False, compare=False)
    words: tuple[str, ...]
    sources: tuple[str, ...]

    @property
    def text(self) -> str:
        """The transcript, in digits."""
        return written(self.words)


def fade(samples: np.ndarray) -> np.ndarray:
    """Ramp both ends up from and down to zero."""
    ramp = np.ones(len(samples), np.float32)
    length = min(FADE, len(samples) // 2)
    ramp[:length] = np.arange(length) / max(length, 1)
    ramp[len(samples) - length :] = ramp[:length][::-1]
    return samples * ramp


def cut_tight(samples: np.ndarray, level_db: float) -> np.ndarray:
    """Cut off what is fainter at both ends than so many dB below the loudest 20 ms, as heard by telephone.

    Who waits for a loud sound to start recording loses the F of FOUR, and of SIX may keep only the vowel.
    """
    narrow = soxr.resample(samples, SAMPLE_RATE, TELEPHONE_RATE)
    window = TELEPHONE_RATE // 50
    power = np.convolve(np.square(narrow), np.full(window, 1 / window), "same")
    loud = np.flatnonzero(power >= power.max() * decibels(-level_db) ** 2)
    step = SAMPLE_RATE // TELEPHONE_RATE
    return samples[step * loud[0] : step * (loud[-1] + 1)]


def join(pieces: list[np.ndarray], pauses: list[float]) -> np.ndarray:
    """Lay pieces one after the other; ``pauses`` (seconds) stand before, between and after: one more than pieces."""
    if len(pauses) != len(pieces) + 1:
        raise ValueError(f"{len(pieces)} pieces need {len(pieces) + 1} pauses around them; got {len(pauses)}")
    parts = [np.zeros(round(pauses[0] * SAMPLE_RATE), np.float32)]
    for piece, pause in zip(pieces, pauses[1:], strict=True):
        parts += [fade(piece), np.zeros(round(pause * SAMPLE_RATE), np.float32)]
    return np.concatenate(parts)


def draw_clips(clips: list[Clip], words: int, rng: np.random.Generator) -> list[Clip]:
    """Draw clips with ``words`` words altogether; a clip that says too many for what is left is drawn again.

    Raises:
        ValueError: where no clip says a single word, since then some counts cannot be reached.
    """
    if not any(len(clip.words) == 1 for clip in clips):
        raise ValueError("the clips must include some that say one word; every one given says several")
    chosen: list[Clip] = []
    while words:
        clip = clips[int(rng.integers(len(clips)))]
        if len(clip.words) <= words:
            chosen.append(clip)
            words -= len(clip.words)
    return chosen


def plain_string(clips: list[Clip], words: int, rng: np.random.Generator) -> DigitString:
    """A string as it is measured: clips as they are, pauses of 0.05 to 0.5 s."""
    chosen = draw_clips(clips, words, rng)
    samples = join([clip.samples for clip in chosen], list(rng.uniform(0.05, 0.5, len(chosen) + 1)))
    return _string(samples, chosen)


def plain_strings(pools: Iterable[list[Clip]], for_each_length: int, seed: int) -> list[DigitString]:
    """Strings of 1 to 8 digits, each of the clips of one pool: ``for_each_length`` of every length and pool."""
    rng = np.random.default_rng(seed)
    return [
        plain_string(pool, words, rng)
        for pool in pools
        for words in range(1, LONGEST + 1)
        for _ in range(for_each_length)
    ]


def augmented_string(
    clips: list[Clip],
    words: int,
    surroundings: Surroundings,
    rng: np.random.Generator,
    strength: float = 1.0,
    tight: float | None = None,
) -> DigitString:
    """A string as it is trained on; ``words`` may be 0, which gives surroundings without speech.

    ``strength`` (0 to 1) is that of the surroundings; ``tight`` the level at which clips begin and end (see :func:`cut_tight`).
    """
    chosen = draw_clips(clips, words, rng)
    speed = rng.uniform(0.87, 1.13)
    pieces = []
    for clip in chosen:
        samples = clip.samples if tight is None else cut_tight(clip.samples, tight)
        piece = change_speed(samples, speed * rng.uniform(0.97, 1.03))
        pieces.append(piece * decibels(rng.uniform(-5.0, 5.0)))
    samples = join(pieces, _pauses(len(pieces) + 1, rng))
    level = rms(np.concatenate(pieces)) if pieces else 1.0
    return _string(surroundings.apply(samples, level, rng, strength), chosen)


def _pauses(count: int, rng: np.random.Generator) -> list[float]:
    """Pauses in seconds for one string: a slow or a hasty talker, and silence of up to 0.7 s at both ends."""
    slowest = rng.choice([0.1, 0.3, 0.6])
    pauses = rng.uniform(0.0, slowest, count)
    pauses[0], pauses[-1] = rng.uniform(0.03, 0.7, 2)
    return list(pauses)


def _string(samples: np.ndarray, chosen: list[Clip]) -> DigitString:
    words = tuple(word for clip in chosen for word in clip.words)
    return DigitString(samples, words, tuple(clip.name for clip in chosen))
