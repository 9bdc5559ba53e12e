"""Mean 0 and variance 1: of each frame over its channels, or of each channel over its frames."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from tfwav2vec2.backbone.lean_gradients import normalise

# The norms of the convolutions use torch's default, not config.layer_norm_eps.
CONV_EPSILON = 1e-5


class LayerNorm(keras.layers.LayerNormalization):
    """Normalisation of every frame over its channels, with Keras's weights and settings and a lean gradient."""

    def call(self, inputs: Any) -> Any:
        """(batch, frames, channels) to the same shape."""
        return normalise(inputs, self.gamma, self.beta, axis=-1, epsilon=self.epsilon)


class MaskedGroupNorm(keras.layers.Layer):
    """Normalisation of every channel over time (torch's GroupNorm with one channel a group).

    With a mask the statistics are taken over valid frames alone, so that padding changes nothing; the reference
    takes them over the padding too.
    """

    def __init__(self, channels: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.gamma = self.add_weight(shape=(channels,), initializer="ones", name="gamma")
        self.beta = self.add_weight(shape=(channels,), initializer="zeros", name="beta")
        self.built = True

    def call(self, x: Any, frame_mask: Any = None) -> Any:
        """(batch, frames, channels) and perhaps a mask (batch, frames) to the same shape."""
        weight = None if frame_mask is None else ops.expand_dims(frame_mask, -1)
        return normalise(x, self.gamma, self.beta, axis=1, epsilon=CONV_EPSILON, weight=weight)

    def statistics(self, x: Any, frame_mask: Any = None) -> tuple[Any, Any, Any]:
        """What a part of the frames contributes: how many are valid, their mean, and their squared distances from it.

        Returns:
            (batch or 1, 1, 1), and twice (batch, 1, channels), in float32.
        """
        x = ops.cast(x, "float32")
        if frame_mask is None:
            count = ops.full((1, 1, 1), float(x.shape[1]))
            mean = ops.mean(x, axis=1, keepdims=True)
            return count, mean, ops.sum(ops.square(x - mean), axis=1, keepdims=True)
        weight = ops.cast(ops.expand_dims(frame_mask, -1), "float32")
        count = ops.sum(weight, axis=1, keepdims=True)
        mean = ops.sum(x * weight, axis=1, keepdims=True) / ops.maximum(count, 1.0)
        return count, mean, ops.sum(ops.square(x - mean) * weight, axis=1, keepdims=True)

    def apply(self, x: Any, mean: Any, variance: Any) -> Any:
        """A part of the frames, normalised with the mean and variance (batch, 1, channels) of all."""
        scale = ops.rsqrt(variance + CONV_EPSILON) * ops.cast(self.gamma, "float32")
        shift = ops.cast(self.beta, "float32") - mean * scale
        return ops.cast(ops.cast(x, "float32") * scale + shift, x.dtype)
