"""Cross-entropy over classes, with labels that do not count."""

from __future__ import annotations

from typing import Any

from keras import ops


def cross_entropy(logits: Any, labels: Any, counted: Any = True) -> Any:
    """The mean of -log p(label) over the entries that count (reference: torch's ``CrossEntropyLoss``).

    Args:
        logits: (..., classes), unnormalised, of any float type; the sums are done in float32.
        labels: (...) integers below the number of classes. Negative ones (-100, by convention) do not count.
        counted: (...) booleans; false entries do not count either.

    Returns:
        A float32 number; 0 where nothing counts (torch gives NaN).
    """
    logits = ops.cast(logits, "float32")
    labels = ops.cast(labels, "int32")
    counted = ops.logical_and(labels >= 0, counted)
    likelihood = ops.take_along_axis(ops.log_softmax(logits), ops.maximum(labels, 0)[..., None], axis=-1)
    loss = ops.where(counted, -likelihood[..., 0], 0.0)
    return ops.sum(loss) / ops.maximum(ops.sum(ops.cast(counted, "float32")), 1.0)
