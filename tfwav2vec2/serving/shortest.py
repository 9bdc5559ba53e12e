"""The shortest recording that a model answers, whatever its head."""

from __future__ import annotations

from bisect import bisect_left
from typing import Any

# More samples than lengths of 32 bits count.
_ENDLESS = range(2**31)


def fewest_samples(model: Any) -> int:
    """The fewest samples for which a model has an answer: those of one frame, and of several where x-vectors are made.

    The time-delay layers of an x-vector see several frames at once. Behind a shorter recording they would read padding, and
    give all such recordings the same vector.
    """
    from tfwav2vec2.heads.tdnn import fewest_frames
    from tfwav2vec2.heads.xvector import TFWav2Vec2ForXVector

    frames = fewest_frames(model.config) if isinstance(model, TFWav2Vec2ForXVector) else 1
    return bisect_left(_ENDLESS, frames, key=model.frame_lengths)
