"""Something like speech, made without recordings."""

from __future__ import annotations

import numpy as np


def burst_speech(samples: int, lengths: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """A padded batch (clips, samples) and its mask: voiced bursts over noise, of unequal lengths."""
    rng = np.random.default_rng(0)
    time = np.arange(samples) / 16_000
    tones = [
        np.sin(2 * np.pi * pitch * time * k) / k for pitch, k in ((120, 1), (120, 2), (210, 3), (330, 5))
    ]
    envelope = np.sin(2 * np.pi * 3 * time) ** 2
    batch = np.stack([envelope * sum(tones) + 0.1 * rng.standard_normal(samples) for _ in lengths])
    batch = (batch - batch.mean(1, keepdims=True)) / batch.std(1, keepdims=True)
    mask = np.arange(samples)[None] < np.array(lengths)[:, None]
    return np.where(mask, batch, 0.0).astype("float32"), mask.astype("int64")
