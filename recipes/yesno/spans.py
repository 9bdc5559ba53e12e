"""Clips cut at their pauses, and every run of neighbouring words as an example of its own.

Forty-five clips of eight words are few enough to be learned by heart, and CTC then learns whole clips. The words are the
same in shorter runs of them, of which there are a thousand.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from tfwav2vec2.audio.loading import SAMPLE_RATE
from tfwav2vec2.data.clip_reading import read_clip
from tfwav2vec2.data.examples import Example

# The level is the mean power of 50 ms, looked at every 10 ms; a word is louder than this share of the loud places.
_WINDOW, _HOP = SAMPLE_RATE // 20, SAMPLE_RATE // 100
_LOUD_SHARE, _LOUD_PERCENTILE = 0.03, 95
# Gaps that are shorter belong to a word, and what is shorter than a word is none; in hops.
_SHORTEST_PAUSE, _SHORTEST_WORD = 12, 15
# What is left around a word, in seconds.
_MARGIN = 0.1

# Runs of so many words, and how far their beginnings lie apart.
RUNS = {1: 1, 2: 1, 3: 2, 4: 2, 6: 2, 8: 1}


def word_times(waveform: np.ndarray) -> list[tuple[float, float]]:
    """Where words begin and end, in seconds.

    Args:
        waveform: (samples,) at 16 kHz.
    """
    level = np.convolve(waveform**2, np.full(_WINDOW, 1 / _WINDOW), "same")[::_HOP]
    loud = level > _LOUD_SHARE * np.percentile(level, _LOUD_PERCENTILE)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], loud, [0]]).astype(int)))
    words: list[list[int]] = []
    for begin, end in edges.reshape(-1, 2):
        if words and begin - words[-1][1] < _SHORTEST_PAUSE:
            words[-1][1] = end
        else:
            words.append([begin, end])
    seconds = len(waveform) / SAMPLE_RATE
    return [
        (max(begin * _HOP / SAMPLE_RATE - _MARGIN, 0.0), min(end * _HOP / SAMPLE_RATE + _MARGIN, seconds))
        for begin, end in words
        if end - begin >= _SHORTEST_WORD
    ]


def spans(examples: Iterable[Example], runs: Mapping[int, int] = RUNS, whole: int = 0) -> Iterator[Example]:
    """Runs of words as examples; a clip that has not as many words as its transcript stays whole.

    Args:
        examples: clips of words with pauses between them.
        runs: of how many words, and how far the beginnings of such runs lie apart.
        whole: how often the clip is there besides, with the silence at its ends.
    """
    for example in examples:
        words = str(example.target).split()
        times = word_times(read_clip(example, SAMPLE_RATE))
        if len(times) == len(words):
            yield from _runs(example, words, times, runs)
        elif not whole:
            yield example
        for copy in range(whole):
            yield dataclasses.replace(example, id=f"{example.id}@{copy}")


def _runs(
    example: Example,
    words: Sequence[str],
    times: Sequence[tuple[float, float]],
    runs: Mapping[int, int],
) -> Iterator[Example]:
    for length, step in runs.items():
        for first in range(0, len(words) - length + 1, step):
            last = first + length - 1
            yield dataclasses.replace(
                example,
                id=f"{example.id}@{first}-{last}",
                target=" ".join(words[first : last + 1]),
                start=times[first][0],
                end=times[last][1],
                seconds=times[last][1] - times[first][0],
            )
