"""The loss that sets speakers apart: additive-margin softmax (arXiv 1801.05599)."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from tfwav2vec2.backbone import initializers
from tfwav2vec2.training.cross_entropy import cross_entropy

SCALE = 30.0
MARGIN = 0.4

# What torch divides by where a vector has no length.
_SHORTEST = 1e-12


def _unit(x: Any, axis: int) -> Any:
    """``x`` in float32, of length 1 along ``axis``; zeros stay zeros, with a gradient of zero."""
    x = ops.cast(x, "float32")
    square = ops.sum(ops.square(x), axis=axis, keepdims=True)
    return x * ops.rsqrt(ops.maximum(square, _SHORTEST**2))


class AMSoftmaxLoss(keras.layers.Layer):
    """Cross-entropy over the cosines between embeddings and one direction a speaker (reference: ``AMSoftmaxLoss``).

    The cosine of the right speaker is lowered by ``margin`` before all are multiplied by ``scale``.
    """

    def __init__(
        self, input_size: int, classes: int, scale: float = SCALE, margin: float = MARGIN, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.classes = classes
        self.scale = scale
        self.margin = margin
        self.weight = self.add_weight(
            shape=(input_size, classes),
            initializer=initializers.normal(1.0),
            name="weight",
        )
        self.built = True

    def cosines(self, embeddings: Any) -> Any:
        """(batch, classes) float32: how near (batch, input_size) embeddings are to the direction of each speaker."""
        return ops.matmul(_unit(embeddings, 1), _unit(self.weight, 0))

    def call(self, embeddings: Any, labels: Any) -> Any:
        """The mean loss, a number, of (batch, input_size) against (batch,) speakers; negative ones do not count."""
        labels = ops.cast(labels, "int32")
        cosines = self.cosines(embeddings)
        right = ops.arange(self.classes, dtype="int32")[None, :] == labels[:, None]
        return cross_entropy(self.scale * ops.where(right, cosines - self.margin, cosines), labels)
