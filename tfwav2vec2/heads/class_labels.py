"""What the labels of a classification head must look like."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops


def check_class_labels(labels: Any, shape: tuple[int, ...], classes: int) -> None:
    """Refuse labels that would give a wrong loss.

    Args:
        labels: integers, negative where they do not count.
        shape: the shape that they must have.
        classes: the number of classes of the model.

    Raises:
        ValueError: for another shape, for numbers that are no integers, or for a class that the model does not have.
    """
    values = ops.convert_to_numpy(labels)
    if values.shape != shape:
        raise ValueError(
            f"labels have the shape {values.shape}; this head needs one class index for each of {shape}"
        )
    if not np.issubdtype(values.dtype, np.integer):
        raise ValueError(f"labels are of the type {values.dtype}; give the index of each class as an integer")
    highest = int(values.max(initial=-1))
    if highest >= classes:
        raise ValueError(
            f"labels hold the class {highest}, but config.num_labels is {classes}; classes count from 0"
        )
