"""Small networks added to the encoder: after it, to shorten it (conv adapter), or inside it, for a language (MMS)."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from tfwav2vec2.backbone.conv_features import Conv1D
from tfwav2vec2.backbone.layers import ConfiguredLayer
from tfwav2vec2.backbone.lengths import conv_output_length, valid_mask, zero_padding
from tfwav2vec2.backbone.norms import CONV_EPSILON
from tfwav2vec2.config import Wav2Vec2Config

# The reference pads its adapter by one frame whatever the kernel.
_PADDING = 1


class AttentionAdapter(ConfiguredLayer):
    """A bottleneck at the end of a stable layer, one set of weights a language (reference: ``Wav2Vec2AttnAdapterLayer``)."""

    def __init__(self, config: Wav2Vec2Config, **kwargs: Any) -> None:
        super().__init__(config, **kwargs)
        with keras.name_scope(self.name):
            self.norm = self.make_norm(config.hidden_size, "norm", CONV_EPSILON)
            self.linear_1 = self.make_dense(config.hidden_size, config.adapter_attn_dim, "linear_1")
            self.linear_2 = self.make_dense(config.adapter_attn_dim, config.hidden_size, "linear_2")

    def call(self, hidden_states: Any) -> Any:
        """What is added to (batch, frames, hidden)."""
        return self.linear_2(ops.relu(self.linear_1(self.norm(hidden_states))))


class ConvAdapterLayer(ConfiguredLayer):
    """A strided convolution and a gated linear unit (reference: ``Wav2Vec2AdapterLayer``)."""

    def __init__(self, config: Wav2Vec2Config, **kwargs: Any) -> None:
        super().__init__(config, **kwargs)
        size = config.output_hidden_size
        with keras.name_scope(self.name):
            self.conv = self.make_part(
                Conv1D,
                size,
                2 * size,
                config.adapter_kernel_size,
                config.adapter_stride,
                use_bias=True,
                name="conv",
            )

    def call(self, x: Any) -> Any:
        """(batch, frames, output_hidden_size) to about 1 / stride as many frames."""
        x = self.conv(ops.pad(x, [[0, 0], [_PADDING, _PADDING], [0, 0]]))
        values, gates = ops.split(x, 2, axis=-1)
        return values * ops.sigmoid(gates)


class ConvAdapter(ConfiguredLayer):
    """The stack that shortens the encoder's output (reference: ``Wav2Vec2Adapter``).

    In training the reference may skip a layer (LayerDrop), and then returns more frames than it counts; here every
    layer runs, so that shapes are static and lengths true.
    """

    def __init__(self, config: Wav2Vec2Config, **kwargs: Any) -> None:
        super().__init__(config, **kwargs)
        size = config.output_hidden_size
        with keras.name_scope(self.name):
            self.proj: Any = None
            self.proj_layer_norm: Any = None
            if size != config.hidden_size:
                self.proj = self.make_dense(config.hidden_size, size, "proj")
                self.proj_layer_norm = self.make_norm(size, "proj_layer_norm", CONV_EPSILON)
            self.layers = [
                self.make_part(ConvAdapterLayer, config, name=f"layers_{index}")
                for index in range(config.num_adapter_layers)
            ]

    def call(self, hidden_states: Any, lengths: Any = None) -> Any:
        """(batch, frames, hidden) to (batch, fewer, output_hidden_size).

        With ``lengths`` (batch,), padded frames are zeroed before each convolution, so that the last valid frame
        reads what it would read in a clip of its own; the reference reads the padding.
        """
        if self.proj is not None:
            hidden_states = self.proj_layer_norm(self.proj(hidden_states))
        for layer in self.layers:
            if lengths is not None:
                hidden_states = zero_padding(hidden_states, valid_mask(lengths, ops.shape(hidden_states)[1]))
                lengths = conv_output_length(lengths, 1, self.config.adapter_stride)
            hidden_states = layer(hidden_states)
        return hidden_states
