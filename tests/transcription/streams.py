"""What the tests of streaming share: engines that say what they hear, and streams in pieces."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from hypothesis import strategies as st

from tests.tiny import TINY
from tfwav2vec2 import Wav2Vec2Config
from tfwav2vec2.backbone.lengths import frame_lengths, shortest_clip
from tfwav2vec2.serving.engines import Arrays, Engine

CONFIG = Wav2Vec2Config(**TINY)
HOP, FIELD = CONFIG.inputs_to_logits_ratio, shortest_clip(CONFIG)


def numbered(samples: int) -> np.ndarray:
    """Samples that tell their place in the stream, from 1 on: 0 is silence."""
    return np.arange(1, samples + 1, dtype=np.float32)


class HearingEngine(Engine):
    """Labels each frame with the first and the last sample that it hears, or with what ``label`` makes of the first.

    Attributes:
        heard: the samples that counted, call by call.
        sizes: the samples of every call's window.
    """

    name = "hearing"
    config = CONFIG
    shortest = FIELD

    def __init__(self, label: Callable[[np.ndarray], np.ndarray] | None = None) -> None:
        self.heard: list[np.ndarray] = []
        self.sizes: set[int] = set()
        self._label = label

    def texts(self, waveform: np.ndarray, lengths: Sequence[int] | np.ndarray) -> list[str | None]:
        raise NotImplementedError

    def _run(self, waveform: np.ndarray, lengths: np.ndarray) -> Arrays:
        (row,), (length,) = waveform, lengths
        self.sizes.add(len(row))
        self.heard.append(row[:length].copy())
        frames = frame_lengths(CONFIG, int(length))
        first = row[np.arange(frames) * HOP]
        logits = np.zeros((frames, CONFIG.vocab_size), np.float32)
        logits[:, 0], logits[:, 1] = first, row[np.arange(frames) * HOP + FIELD - 1]
        if self._label is not None:
            logits = self._label(first)
        return {"logits": logits[None], "frame_lengths": np.array([frames])}


def engine_of(scores: np.ndarray) -> HearingEngine:
    """An engine for :func:`numbered` samples: frame ``k`` of the stream has the logits ``scores[k]``, wherever a window begins."""

    def label(first: np.ndarray) -> np.ndarray:
        frames = (first.astype(int) - 1) // HOP
        known = (first > 0) & (frames < len(scores))  # what hears silence is never kept
        return np.where(known[:, None], scores[np.where(known, frames, 0)], 0.0)

    return HearingEngine(label)


def pieces(samples: Any, cuts: Sequence[int]) -> list[Any]:
    """The samples, cut at these places in any order."""
    edges = sorted({0, len(samples), *(min(cut, len(samples)) for cut in cuts)})
    return [samples[start:end] for start, end in pairwise(edges)]


CUTS = st.lists(st.integers(0, 3000), max_size=12)
