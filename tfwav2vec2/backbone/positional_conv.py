"""Where a frame stands: a wide grouped convolution in place of positional embeddings (paper, section 2)."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from tfwav2vec2.backbone import initializers
from tfwav2vec2.backbone.layers import ConfiguredLayer
from tfwav2vec2.config import Wav2Vec2Config


def grouped_conv1d(x: Any, kernel: Any, groups: int) -> Any:
    """A grouped convolution over time: x (batch, frames, channels), kernel (width, channels / groups, filters).

    On the CPU, and on TensorFlow everywhere, it is split into its groups: the native form runs there only through
    XLA or has no gradient, and is slower where it runs.
    """
    if groups > 1 and not _native_groups():
        parts = zip(ops.split(x, groups, axis=-1), ops.split(kernel, groups, axis=-1), strict=True)
        return ops.concatenate([grouped_conv1d(part, weight, 1) for part, weight in parts], axis=-1)
    return ops.conv(x, kernel, strides=1, padding="valid", data_format="channels_last")


def _native_groups() -> bool:
    if keras.backend.backend() != "jax":
        return keras.backend.backend() == "torch"
    import jax

    return jax.default_backend() != "cpu"


class WeightNormConv1D(keras.layers.Layer):
    """A grouped convolution whose kernel is a direction times a magnitude for each of its taps.

    ``weight_v`` (width, channels / groups, filters) is normalised over its last two axes and scaled by ``weight_g``
    (width, 1, 1) (reference: ``weight_norm(conv, dim=2)``). Both train.
    """

    def __init__(self, channels: int, width: int, groups: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.width = width
        self.groups = groups
        fan_in = channels // groups * width
        self.weight_v = self.add_weight(
            shape=(width, channels // groups, channels),
            initializer=initializers.uniform_fan_in(fan_in),
            name="weight_v",
        )
        # At the start the magnitudes are those of the drawn kernel, so that the kernel is what was drawn.
        self.weight_g = self.add_weight(
            shape=(width, 1, 1),
            initializer=initializers.initial(lambda shape, dtype: ops.cast(self._norm(), dtype)),
            name="weight_g",
        )
        self.bias = self.add_weight(shape=(channels,), initializer="zeros", name="bias")
        self.built = True

    def _norm(self) -> Any:
        v = ops.cast(self.weight_v, "float32")
        return ops.sqrt(ops.sum(ops.square(v), axis=(1, 2), keepdims=True))

    def call(self, x: Any) -> Any:
        """(batch, frames, channels) to the same shape; zeros surround the frames."""
        scale = ops.cast(self.weight_g, "float32") / self._norm()
        kernel = ops.cast(ops.cast(self.weight_v, "float32") * scale, x.dtype)
        left = self.width // 2
        # An even width would make one frame more than came in; the reference drops the last.
        x = ops.pad(x, [[0, 0], [left, self.width - 1 - left], [0, 0]])
        return grouped_conv1d(x, kernel, self.groups) + self.bias


class PositionalConvEmbedding(ConfiguredLayer):
    """What is added to the hidden states so that they know their place: (batch, frames, hidden) to the same shape.

    Reference: ``Wav2Vec2PositionalConvEmbedding``; the activation is the front end's.
    """

    def __init__(self, config: Wav2Vec2Config, **kwargs: Any) -> None:
        super().__init__(config, **kwargs)
        with keras.name_scope(self.name):
            self.conv = self.make_part(
                WeightNormConv1D,
                config.hidden_size,
                config.num_conv_pos_embeddings,
                config.num_conv_pos_embedding_groups,
                name="conv",
            )
            self.activation = self.make_activation(config.feat_extract_activation, "activation")

    def call(self, hidden_states: Any) -> Any:
        """Padded frames must have been zeroed before."""
        return self.activation(self.conv(hidden_states))
