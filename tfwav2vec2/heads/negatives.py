"""The distractors of contrastive learning: other hidden frames of the same utterance.

The reference draws them with numpy before the step; here the backend draws them at run time and with static shapes, so
that they compile under XLA and differ from step to step. The distribution is the reference's.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from tfwav2vec2.backbone.compiled_call import is_concrete


def sample_negatives(
    mask_time_indices: Any, num_negatives: int, seed_generator: keras.random.SeedGenerator
) -> Any:
    """For every hidden frame, other hidden frames of its row, each as likely as any, with replacement.

    Source: arXiv 2006.11477, section 3.2; reference: ``_sample_negative_indices``.

    A row with one hidden frame has nothing to tell it from: its negatives are the frame itself, which
    :func:`~tfwav2vec2.training.contrastive.contrastive_loss` leaves out, so that it adds nothing to the loss. Frames that
    are not hidden get the first frame of their row: no loss reads them.

    Args:
        mask_time_indices: (batch, frames), true for hidden frames.
        num_negatives: how many are drawn for each frame.
        seed_generator: where the random numbers come from.

    Returns:
        (batch, frames, num_negatives) int32: places in the batch's frames laid end to end, row * frames + frame.

    Raises:
        ValueError: outside traced functions, where a row has exactly one hidden frame.
    """
    if is_concrete(mask_time_indices):
        _check_counts(ops.convert_to_numpy(mask_time_indices).astype(bool).sum(axis=1))
    mask = ops.cast(mask_time_indices, "bool")
    batch, frames = ops.shape(mask)
    position = ops.arange(frames, dtype="int32")
    hidden = ops.cast(mask, "int32")
    count = ops.sum(hidden, axis=1)[:, None, None]
    rank = (ops.cumsum(hidden, axis=1) - 1)[:, :, None]

    # One of the count - 1 others: those from the frame's own rank on move up by one.
    draws = keras.random.uniform((batch, frames, num_negatives), seed=seed_generator)
    others = count - 1
    other = ops.cast(ops.floor(draws * ops.cast(others, "float32")), "int32")
    # A product may round up to the number of others.
    other = ops.minimum(other, others - 1)
    other = other + ops.cast(other >= rank, "int32")
    # Rows with one hidden frame, or with none.
    other = ops.clip(other, 0, ops.maximum(others, 0))

    hidden_first = ops.argsort(ops.where(mask, position, position + frames), axis=1)
    chosen = ops.take_along_axis(
        ops.cast(hidden_first, "int32"), ops.reshape(other, (batch, frames * num_negatives)), axis=1
    )
    chosen = ops.reshape(chosen, (batch, frames, num_negatives))
    first = frames * ops.arange(batch, dtype="int32")[:, None, None]
    return ops.where(mask[:, :, None], chosen, 0) + first


def _check_counts(counts: np.ndarray) -> None:
    alone = np.flatnonzero(counts == 1)
    if alone.size:
        raise ValueError(
            f"Row {alone[0]} of mask_time_indices hides one frame, which leaves no other to tell it from; "
            "hide none or at least two"
        )
