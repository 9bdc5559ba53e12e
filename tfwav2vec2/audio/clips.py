"""Audio as it was given, one clip or a batch, checked before anything is computed from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tfwav2vec2.batching import kind_of, to_numpy


def as_clips(speech: Any) -> list[np.ndarray]:
    """One clip or a batch, in any form, as a list of checked one-dimensional arrays.

    Args:
        speech: a clip (samples,), or a batch as a list of clips or an array (batch, samples); lists, numpy arrays or
            tensors of any framework.

    Raises:
        TypeError: for a path, bytes, or anything that is not numbers.
        ValueError: for audio that is empty, not finite or not mono.
    """
    if isinstance(speech, (str, bytes, Path)):
        raise TypeError(
            f"The feature extractor takes samples; got a {type(speech).__name__}. "
            "Read sound files with tfwav2vec2.load_audio first"
        )
    if isinstance(speech, (list, tuple)):
        batched = len(speech) > 0 and (isinstance(speech[0], (list, tuple)) or np.ndim(speech[0]) > 0)
    else:
        batched = np.ndim(speech) == 2
    clips = [_as_array(clip) for clip in (speech if batched else [speech])]
    if not clips:
        raise ValueError("The audio is an empty batch; give at least one clip")
    for index, clip in enumerate(clips):
        _check_clip(clip, f"Clip {index} of the batch" if batched else "The audio")
    return clips


def _as_array(clip: Any) -> np.ndarray:
    try:
        array = to_numpy(clip)
    except ValueError:
        raise ValueError(
            "A clip must be a flat list of numbers; got lists of different lengths inside it"
        ) from None
    # The reference hands tensors of other frameworks to the model as float32, whatever they were.
    return array if kind_of(clip) in (None, "np") else array.astype(np.float32)


def _check_clip(clip: np.ndarray, subject: str) -> None:
    if clip.dtype.kind not in "biuf":
        raise TypeError(f"{subject} holds {clip.dtype} values; it must be numbers, one for each sample")
    if clip.ndim != 1:
        raise ValueError(
            f"{subject} has the shape {clip.shape}; it must be mono, one-dimensional (tfwav2vec2.load_audio mixes "
            "channels down)"
        )
    if clip.size == 0:
        raise ValueError(f"{subject} is empty: it has no samples; leave it out")
    if not np.isfinite(clip).all():
        raise ValueError(f"{subject} holds NaN or infinite samples; check how it was read or computed")
