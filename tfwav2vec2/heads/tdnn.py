"""Time-delay layers and the statistics over them: the x-vector's way from frames to one vector (Snyder et al. 2018)."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from tfwav2vec2.backbone.layers import ConfiguredLayer
from tfwav2vec2.backbone.lengths import conv_output_length, valid_mask
from tfwav2vec2.config import Wav2Vec2Config


class TDNNLayer(ConfiguredLayer):
    """A dilated convolution over frames and a ReLU (reference: ``TDNNLayer``).

    The weights are those of a Dense layer over the frames that the convolution sees at once, first frame first.
    """

    def __init__(self, config: Wav2Vec2Config, index: int, **kwargs: Any) -> None:
        super().__init__(config, **kwargs)
        self.index = index
        self.channels = config.tdnn_dim[max(index - 1, 0)]
        self.filters = config.tdnn_dim[index]
        self.width = config.tdnn_kernel[index]
        self.dilation = config.tdnn_dilation[index]
        with keras.name_scope(self.name):
            self.kernel = self.make_dense(self.channels * self.width, self.filters, "kernel")

    def call(self, x: Any) -> Any:
        """(batch, frames, channels) to (batch, frames - (width - 1) * dilation, filters)."""
        kernel = ops.reshape(self.kernel.kernel, (self.width, self.channels, self.filters))
        x = ops.conv(
            x,
            ops.cast(kernel, x.dtype),
            padding="valid",
            dilation_rate=self.dilation,
            data_format="channels_last",
        )
        return ops.relu(x + ops.cast(self.kernel.bias, x.dtype))

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor as plain data."""
        return {**super().get_config(), "index": self.index}


def tdnn_lengths(config: Wav2Vec2Config, lengths: Any) -> Any:
    """Frames that the TDNN leaves of each number of the encoder's frames (an int, or an integer tensor).

    With ``config.feature_norm_mask=False`` they are the reference's, which forgets the dilation and so counts frames
    that read padding (``_get_tdnn_output_lengths``).
    """
    for width, dilation in zip(config.tdnn_kernel, config.tdnn_dilation, strict=True):
        seen = 1 + (width - 1) * (dilation if config.feature_norm_mask else 1)
        lengths = conv_output_length(lengths, seen, 1)
    return lengths


def fewest_frames(config: Wav2Vec2Config) -> int:
    """The fewest frames of the encoder that give the TDNN one frame: 15 with the usual layers."""
    delays = zip(config.tdnn_kernel, config.tdnn_dilation, strict=True)
    return 1 + sum((width - 1) * dilation for width, dilation in delays)


def pool_statistics(x: Any, lengths: Any) -> Any:
    """Mean and unbiased standard deviation of (batch, frames, channels) over valid frames: (batch, 2 * channels).

    The sums are done in float32. The deviation of a single frame is 0 (the reference's is NaN), and so is its gradient
    where all frames are equal.
    """
    dtype = x.dtype
    frames = ops.shape(x)[1]
    valid = ops.expand_dims(valid_mask(lengths, frames), -1)
    x = ops.where(valid, ops.cast(x, "float32"), 0.0)
    # The reference's lengths may be more frames than there are.
    count = ops.cast(ops.minimum(lengths, frames), "float32")[:, None]
    mean = ops.sum(x, axis=1) / ops.maximum(count, 1.0)
    squares = ops.sum(ops.where(valid, ops.square(x - mean[:, None, :]), 0.0), axis=1)
    variance = squares / ops.maximum(count - 1.0, 1.0)
    varies = variance > 0.0
    # The square root has no gradient at 0: it must not be asked there.
    deviation = ops.where(varies, ops.sqrt(ops.where(varies, variance, 1.0)), 0.0)
    return ops.cast(ops.concatenate([mean, deviation], axis=-1), dtype)
