"""What a model put out for each frame, as log probabilities that a beam search can add up."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tfwav2vec2.batching import to_numpy

# Below this probability all labels are alike (as in pyctcdecode), so that one impossible frame ends no beam.
_LEAST = math.log(1e-15)

# Complex numbers, objects, texts and times.
_NO_NUMBERS = "cOSUMm"

# Rows of float32 probabilities sum to 1 no better than this.
_ROUNDING = 1e-3


def log_probabilities(logits: Any, labels: int) -> np.ndarray:
    """Log probabilities (frames, labels) of logits, of log probabilities, or of probabilities, in float64.

    Rows that sum to 1 are taken for probabilities.

    Args:
        logits: (frames, labels), from any framework.
        labels: how many labels the alphabet has.

    Raises:
        ValueError: for another shape or what is no real number, for NaN or infinity, and for a frame in which nothing is possible.
    """
    logits = to_numpy(logits)
    if logits.ndim != 2:
        raise ValueError(
            f"Logits must have the shape (frames, labels); got {logits.shape}: use batch_decode for a batch"
        )
    if logits.shape[1] != labels:
        raise ValueError(
            f"The logits have {logits.shape[1]} labels and the alphabet {labels}; take the decoder that belongs to this model"
        )
    if logits.dtype.kind in _NO_NUMBERS:
        raise ValueError(f"Logits must be real numbers; got an array of {logits.dtype}")
    scores = logits.astype(np.float64)
    if len(scores) == 0:
        return scores
    top = scores.max(axis=1, keepdims=True)  # NaN where the row holds one
    if not np.isfinite(top).all():
        frame = int(np.flatnonzero(~np.isfinite(top[:, 0]))[0])
        raise ValueError(
            f"The logits of frame {frame} hold NaN or infinity, or nothing but minus infinity; check the recording and the model's weights"
        )
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        if _are_probabilities(scores):
            return np.clip(np.log(np.clip(scores, 0, 1)), _LEAST, 0)
        scores -= top
        scores -= np.log(np.exp(scores).sum(axis=1, keepdims=True))
        return np.clip(scores, _LEAST, 0)


def _are_probabilities(scores: np.ndarray) -> bool:
    sums = scores.sum(axis=1)
    if math.isclose(sums.mean(), 1):  # the reference's test
        return True
    return bool((np.abs(sums - 1) < _ROUNDING).all() and scores.min() >= 0)
