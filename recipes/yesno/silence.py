"""Silence of any length around a clip, so that where it begins and ends tells nothing about the words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tfwav2vec2.audio.loading import SAMPLE_RATE

# The level of a clip's own silence is that of its quietest stretch of this length.
_STRETCH = SAMPLE_RATE // 50


@dataclass(frozen=True)
class SilenceAround:
    """Noise as soft as the clip's quietest place, before and behind it.

    A model that hears nothing but cut words learns to write at the edges of a clip: the last letter then comes at the end of
    the recording, however long after the word that is.

    Args:
        most: how long both together are at most, in lengths of the clip.
    """

    most: float = 1.0

    @property
    def stretch(self) -> float:
        """How many times longer a clip becomes at most."""
        return 1.0 + self.most

    def __call__(self, samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """The clip somewhere in the silence."""
        count = int(len(samples) * self.most * rng.random())
        before = int(rng.integers(count + 1))
        whole = len(samples) // _STRETCH * _STRETCH
        level = np.sqrt((samples[:whole].reshape(-1, _STRETCH) ** 2).mean(axis=1).min(initial=np.inf))
        result = rng.normal(0.0, level if np.isfinite(level) else 0.0, count + len(samples)).astype(
            np.float32
        )
        result[before : before + len(samples)] = samples
        return result
