"""Waveform to frames: the stack of convolutions (wav2vec 2.0 paper, section 2, "feature encoder")."""

from __future__ import annotations

from functools import partial
from typing import Any

import keras
from keras import ops

from tfwav2vec2.backbone import initializers
from tfwav2vec2.backbone.compiled_call import is_concrete
from tfwav2vec2.backbone.conv_blocks import encode_in_blocks, runs_in_blocks
from tfwav2vec2.backbone.layers import ConfiguredLayer
from tfwav2vec2.backbone.lengths import conv_output_length, valid_mask
from tfwav2vec2.backbone.norms import CONV_EPSILON, MaskedGroupNorm
from tfwav2vec2.backbone.recomputation import recomputed, with_gradient_of
from tfwav2vec2.backbone.strided_conv import strided_conv
from tfwav2vec2.config import Wav2Vec2Config


class Conv1D(keras.layers.Layer):
    """A convolution over time without padding: (batch, frames, channels) to (batch, shorter, filters).

    ``kernel`` is (width, channels, filters). Keras's own layer is not used because it cannot start from the
    reference's initial values without knowing its input first.
    """

    def __init__(
        self, channels: int, filters: int, width: int, stride: int, *, use_bias: bool, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.stride = stride
        self.kernel = self.add_weight(
            shape=(width, channels, filters), initializer=initializers.kaiming_normal(), name="kernel"
        )
        self.bias = None
        if use_bias:
            fan_in = channels * width
            self.bias = self.add_weight(
                shape=(filters,), initializer=initializers.uniform_fan_in(fan_in), name="bias"
            )
        self.built = True

    def call(self, x: Any) -> Any:
        """(batch, frames, channels) to (batch, (frames - width) // stride + 1, filters)."""
        x = strided_conv(x, self.kernel, self.stride)
        return x if self.bias is None else x + self.bias


class ConvLayer(ConfiguredLayer):
    """One convolution, its norm if it has one, and the activation, in this order.

    Reference: ``Wav2Vec2GroupNormConvLayer``, ``Wav2Vec2LayerNormConvLayer`` and ``Wav2Vec2NoLayerNormConvLayer``.
    """

    def __init__(self, config: Wav2Vec2Config, index: int, **kwargs: Any) -> None:
        super().__init__(config, **kwargs)
        self.index = index
        channels = config.conv_dim[index - 1] if index else 1
        filters = config.conv_dim[index]
        with keras.name_scope(self.name):
            self.conv = self.make_part(
                Conv1D,
                channels,
                filters,
                config.conv_kernel[index],
                config.conv_stride[index],
                use_bias=config.conv_bias,
                name="conv",
            )
            self.normalises_frames = config.feat_extract_norm == "layer"
            self.layer_norm: Any = None
            if self.normalises_frames:
                self.layer_norm = self.make_norm(filters, "layer_norm", CONV_EPSILON)
            elif index == 0:
                self.layer_norm = self.make_part(MaskedGroupNorm, filters, name="layer_norm")
            self.activation = self.make_activation(config.feat_extract_activation, "activation")

    def call(self, x: Any, lengths: Any = None) -> Any:
        """(batch, frames, channels) to (batch, shorter, filters); ``lengths`` (batch,) counts this layer's valid output."""
        x = self.conv(x)
        if self.normalises_frames:
            x = self.layer_norm(x)
        elif self.layer_norm is not None:
            x = self.layer_norm(x, None if lengths is None else valid_mask(lengths, ops.shape(x)[1]))
        return self.activation(x)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor as plain data."""
        return {**super().get_config(), "index": self.index}


class ConvFeatureEncoder(ConfiguredLayer):
    """The waveform's convolutions: (batch, samples) to (batch, frames, conv_dim[-1]).

    With ``gradient_checkpointing`` a training step keeps each layer's input alone, and computes the rest again.
    Reference: ``Wav2Vec2FeatureEncoder``.
    """

    gradient_checkpointing = False

    def __init__(self, config: Wav2Vec2Config, **kwargs: Any) -> None:
        super().__init__(config, **kwargs)
        with keras.name_scope(self.name):
            self.conv_layers = [
                self.make_part(ConvLayer, config, index, name=f"conv_layers_{index}")
                for index in range(config.num_feat_extract_layers)
            ]

    def call(self, waveform: Any, sample_lengths: Any = None, training: bool = False) -> Any:
        """Frames of a waveform.

        ``sample_lengths`` (batch,) makes group statistics ignore the padding; without it every sample counts.
        """
        x = ops.expand_dims(waveform, -1)
        if training or not runs_in_blocks(self.config, x):
            return self._encode(x, sample_lengths, training)
        encode = partial(encode_in_blocks, self.conv_layers, self.config, sample_lengths=sample_lengths)
        if is_concrete(x):
            return encode(x)
        # XLA does not differentiate the loop.
        return with_gradient_of(partial(self._encode, sample_lengths=sample_lengths), encode)(x)

    def _encode(self, x: Any, sample_lengths: Any = None, training: bool = False) -> Any:
        """All at once."""
        lengths = sample_lengths
        for layer in self.conv_layers:
            if lengths is not None:
                conv = self.config.conv_kernel[layer.index], self.config.conv_stride[layer.index]
                lengths = conv_output_length(lengths, *conv)
            # Of a layer that is frozen nothing is kept in any case.
            if training and self.gradient_checkpointing and layer.trainable_variables:
                x = recomputed([layer], partial(layer, lengths=lengths), x)
            else:
                x = layer(x, lengths)
        return x
