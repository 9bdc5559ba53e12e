"""SpecAugment: spans of frames, or of features, that training hides (arXiv 1904.08779).

The reference draws spans with numpy; here they are drawn by the backend at run time and with static shapes, so that
they compile under XLA and differ from step to step. The distribution is the reference's.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


def span_counts(lengths: Any, size: int, probability: float, span: int, least: int, epsilon: Any) -> Any:
    """How many spans each row gets (reference: ``compute_num_masked_span``).

    ``lengths`` (batch,) are the valid sizes, ``size`` the padded one; ``epsilon`` in [0, 1) rounds at random. The
    first cap is against the padded size, the second against the row's own length, in this order.
    """
    length = ops.cast(lengths, "float32")
    count = ops.cast(ops.floor(probability * length / span + epsilon), "int32")
    count = ops.maximum(count, least)
    count = ops.where(count * span > size, size // span, count)
    starts = ops.cast(lengths, "int32") - (span - 1)
    return ops.minimum(count, ops.maximum(starts, 0))


def draw_spans(
    lengths: Any,
    size: int,
    probability: float,
    span: int,
    least: int,
    seed: keras.random.SeedGenerator,
) -> Any:
    """A boolean mask (batch, size) of random spans (reference: ``_compute_mask_indices``).

    Starts are drawn without replacement among those whose span fits the row's length; spans may overlap. One epsilon
    is drawn for the whole call. A row shorter than a span gets none (the reference then hides the last padded frame).

    Raises:
        ValueError: where a span is longer than the axis, or not positive.
    """
    if span < 1:
        raise ValueError(f"A masked span must hold at least 1 position; got {span}")
    if isinstance(size, int) and span > size:
        raise ValueError(
            f"A masked span of {span} is longer than the axis of {size}; lower mask_time_length or mask_feature_length"
        )
    batch = ops.shape(lengths)[0]
    epsilon = keras.random.uniform((), seed=seed)
    counts = span_counts(lengths, size, probability, span, least, epsilon)
    starts = ops.cast(lengths, "int32") - (span - 1)
    draws = keras.random.uniform((batch, size), seed=seed)
    # The `counts` smallest draws among the possible starts are a sample without replacement.
    possible = ops.arange(size, dtype="int32")[None, :] < starts[:, None]
    rank = ops.argsort(ops.argsort(ops.where(possible, draws, 2.0), axis=-1), axis=-1)
    started = ops.cast(ops.cast(rank, "int32") < counts[:, None], "int32")
    # A position is hidden if one of the last `span` positions started a span.
    total = ops.cumsum(started, axis=-1)
    before = ops.pad(total, [[0, 0], [span, 0]])[:, :size]
    return total - before > 0
