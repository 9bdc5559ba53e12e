"""From a file, bytes or an array to the waveform that a model reads: mono float32 at 16 kHz."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np

from tfwav2vec2.audio import SAMPLE_RATE
from tfwav2vec2.audio.media import MEDIA_SUFFIXES
from tfwav2vec2.audio.streams import HIGHEST_RATE, LOWEST_RATE, source_name, stream_audio

__all__ = [
    "AUDIO_SUFFIXES",
    "HIGHEST_RATE",
    "LONGEST_SECONDS",
    "LOWEST_RATE",
    "SAMPLE_RATE",
    "load_audio",
    "source_name",
    "stream_audio",
]

_SOUND_SUFFIXES = frozenset(
    {".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".au", ".caf", ".w64", ".rf64"}
)

AUDIO_SUFFIXES = _SOUND_SUFFIXES | (MEDIA_SUFFIXES if importlib.util.find_spec("av") else frozenset())
"""The endings, in lower case, by which recordings are found in a folder: those of videos too where they can be read."""

# Longer recordings would not fit a model anyway; a few kilobytes of compressed silence can claim days.
LONGEST_SECONDS = 6 * 3600.0


def load_audio(
    source: Any,
    *,
    sampling_rate: int = SAMPLE_RATE,
    source_rate: int | None = None,
    max_seconds: float = LONGEST_SECONDS,
) -> np.ndarray:
    """The whole waveform of ``source`` as float32 (samples,): channels averaged, resampled by soxr at its high quality.

    :func:`stream_audio` gives the same in blocks.

    Args:
        source: a path, the bytes of a file, or an open binary file, read from its start (wav, flac, ogg, mp3 and
            whatever else libsndfile reads; the sound of videos, and other audio, with the extra ``media``); or an array
            (samples,) or (samples, channels). Floating-point arrays have full scale 1.0; int16, int32 and uint8 arrays are
            scaled to it.
        sampling_rate: the rate of the result in Hz.
        source_rate: the rate of an array in Hz; it is required for arrays and refused for files, whose header says it.
        max_seconds: the longest audio that is accepted.

    Raises:
        OSError: where the file does not exist or cannot be read.
        ValueError: where it is not audio, is empty, is cut short, declares an impossible rate, lasts longer than
            ``max_seconds``, or holds NaN or infinite samples. The message names the file and the remedy.
        TypeError: where ``source`` is none of these kinds, or an array whose integer type has no known scale.
        ImportError: where the file needs the extra ``media``, which is not installed.
    """
    blocks = stream_audio(
        source, sampling_rate=sampling_rate, source_rate=source_rate, max_seconds=max_seconds
    )
    return np.concatenate(list(blocks))
