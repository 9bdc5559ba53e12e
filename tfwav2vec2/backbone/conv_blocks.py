"""The convolutions of a waveform a block of frames at a time: memory holds the channels of one block, not of all.

The first convolution makes 6.5 MB of a second of sound (512 channels, 3,200 frames), of which norm and activation hold several
copies at a time where operations run one by one. A block's frames need no sound but their own and a few samples more, so blocks give
the frames of the whole. A group norm's mean and variance over all frames are put together from those of the blocks (Chan et al.
1983, "Algorithms for computing the sample variance").
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from keras import ops

from tfwav2vec2.backbone.lengths import conv_output_length, frame_lengths, shortest_clip, valid_mask
from tfwav2vec2.config import Wav2Vec2Config

if TYPE_CHECKING:
    from tfwav2vec2.backbone.conv_features import ConvLayer

BLOCK_FRAMES = 100
"""Frames of the model in a block: 2 s, as a rule, whose channels fit a processor's cache better than those of all."""


def encode_in_blocks(
    layers: list[ConvLayer], config: Wav2Vec2Config, waveform: Any, sample_lengths: Any = None
) -> Any:
    """What ``layers`` make of a waveform one behind the other.

    Args:
        layers: all of the feature encoder.
        config: theirs.
        waveform: (batch, samples, 1), of known size, at least one frame.
        sample_lengths: (batch,), as :class:`~tfwav2vec2.backbone.conv_features.ConvFeatureEncoder` takes it.

    Returns:
        (batch, frames, channels).
    """
    hop = config.inputs_to_logits_ratio
    frames = frame_lengths(config, waveform.shape[1])
    first, *others = layers
    statistics = None
    if first.layer_norm is not None and not first.normalises_frames:
        statistics = _group_statistics(first, config, waveform, sample_lengths)
    made = []
    for start in range(0, frames, BLOCK_FRAMES):
        end = min(start + BLOCK_FRAMES, frames)
        x = waveform[:, start * hop : (end - 1) * hop + shortest_clip(config)]
        x = (
            first(x)
            if statistics is None
            else first.activation(first.layer_norm.apply(first.conv(x), *statistics))
        )
        for layer in others:
            x = layer(x)
        made.append(x)
    return ops.concatenate(made, axis=1)


def _group_statistics(
    layer: ConvLayer, config: Wav2Vec2Config, waveform: Any, sample_lengths: Any
) -> tuple[Any, Any]:
    """Mean and variance (batch, 1, channels) of each channel over the valid frames of the first convolution."""
    parts = list(_block_statistics(layer, config, waveform, sample_lengths))
    total = sum(count for count, _, _ in parts)
    total = ops.maximum(total, 1.0)
    mean = sum(count * mean for count, mean, _ in parts) / total
    squares = sum(squares + count * ops.square(each - mean) for count, each, squares in parts)
    return mean, squares / total


def _block_statistics(
    layer: ConvLayer, config: Wav2Vec2Config, waveform: Any, sample_lengths: Any
) -> Iterator[tuple[Any, Any, Any]]:
    """Of each block the valid frames, their mean, and the sum of their squared distances from it."""
    width, stride = config.conv_kernel[0], config.conv_stride[0]
    frames = conv_output_length(waveform.shape[1], width, stride)
    together = BLOCK_FRAMES * config.inputs_to_logits_ratio // stride
    mask = None
    if sample_lengths is not None:
        mask = valid_mask(conv_output_length(sample_lengths, width, stride), frames)
    for start in range(0, frames, together):
        end = min(start + together, frames)
        x = layer.conv(waveform[:, start * stride : (end - 1) * stride + width])
        yield layer.layer_norm.statistics(x, None if mask is None else mask[:, start:end])
