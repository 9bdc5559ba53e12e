"""What the metrics of the heads have in common: they read a model's whole output, and count."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


class TaskMetric(keras.metrics.Metric):
    """A metric that a head of this package updates with labels and the whole output, rather than with one tensor of it.

    ``compile(metrics=[...])`` takes them beside Keras's own.
    """

    def update_state(self, labels: Any, output: Any, sample_weight: Any = None) -> None:
        """Count a batch: labels as the model's loss takes them, None where the task has none, and the output."""
        raise NotImplementedError

    def add_count(self, shape: tuple[int, ...], name: str) -> keras.Variable:
        """A variable for sums, zero at first. It is float32 whatever the default type, so that large sums stay right."""
        return self.add_variable(shape=shape, initializer="zeros", dtype="float32", name=name)


class Ratio(TaskMetric):
    """Adds up a part and a whole over the batches and divides once, at the end."""

    def __init__(self, name: str, dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)
        self.part = self.add_count((), "part")
        self.whole = self.add_count((), "whole")

    def add(self, part: Any, whole: Any) -> None:
        """Add a batch's sums: tensors of any shape and type, booleans too."""
        for total, values in ((self.part, part), (self.whole, whole)):
            total.assign(total + ops.sum(ops.cast(values, "float32")))

    def result(self) -> Any:
        """The part for each unit of the whole, a float32 number; the part itself where the whole is nothing."""
        return self.part / ops.maximum(self.whole, 1.0)
