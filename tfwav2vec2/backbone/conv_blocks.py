"""The convolutions of a waveform a block of frames at a time: memory holds the channels of one block, not of all.

The first convolution makes 6.5 MB of a second of sound (512 channels, 3,200 frames), of which norm and activation hold several
copies at a time where operations run one by one. A block's frames need no sound but their own and a few samples more, so blocks give
the frames of the whole. A group norm's mean and variance over all frames are put together from those of the blocks (Chan et al.
1983, "Algorithms for computing the sample variance").
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import keras
from keras import ops

from tfwav2vec2.backbone.compiled_call import is_concrete, is_program_for_cpu
from tfwav2vec2.backbone.lengths import conv_output_length, frame_lengths, shortest_clip
from tfwav2vec2.config import Wav2Vec2Config

if TYPE_CHECKING:
    from tfwav2vec2.backbone.conv_features import ConvLayer

BLOCK_FRAMES = 100
"""Frames of the model in a block: 2 s, as a rule, whose channels fit a processor's cache better than those of all."""


def runs_in_blocks(config: Wav2Vec2Config, waveform: Any) -> bool:
    """Whether a waveform (batch, samples, 1) is more than one block, in a call where blocks pay.

    That is where operations run one by one, and in a bucket's program for a CPU. JAX compiles every call, an accelerator is faster
    with everything at once, and graphs that are trained or exported have no loop.
    """
    if keras.backend.backend() == "jax" or not (is_program_for_cpu() or is_concrete(waveform)):
        return False
    return frame_lengths(config, waveform.shape[1]) > BLOCK_FRAMES


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
    frames = frame_lengths(config, waveform.shape[1])
    first, *others = layers
    statistics = None
    if first.layer_norm is not None and not first.normalises_frames:
        statistics = _group_statistics(first, config, waveform, sample_lengths)

    def encode(x: Any, _: Any) -> Any:
        x = (
            first(x)
            if statistics is None
            else first.activation(first.layer_norm.apply(first.conv(x), *statistics))
        )
        for layer in others:
            x = layer(x)
        return x

    found = _for_each_block(
        encode, waveform, frames, BLOCK_FRAMES, config.inputs_to_logits_ratio, shortest_clip(config)
    )
    found = ops.moveaxis(found, 0, 1)
    return ops.reshape(found, (waveform.shape[0], -1, found.shape[-1]))[:, :frames]


def _for_each_block(
    function: Callable[[Any, Any], Any], waveform: Any, frames: int, most: int, hop: int, field: int
) -> Any:
    """What a function makes of the samples of each block of frames, and of the number of the first of them.

    Args:
        function: takes samples (batch, samples, 1) and a number, and gives tensors.
        waveform: (batch, samples, 1).
        frames: how many the waveform has.
        most: how many a block has. All have as many, and so the last one may go beyond the end, with zeros there.
        hop: samples from one frame to the next.
        field: samples that a frame hears.

    Returns:
        The tensors (blocks, ...).
    """
    count = -(-frames // most)
    size = -(-frames // count)
    rows, samples, channels = waveform.shape
    missing = max((count * size - 1) * hop + field - samples, 0)
    waveform = ops.pad(waveform, [[0, 0], [0, missing], [0, 0]])

    def one(block: Any) -> Any:
        at = (0, block * size * hop, 0)
        return function(ops.slice(waveform, at, (rows, (size - 1) * hop + field, channels)), block * size)

    if is_concrete(waveform):
        return keras.tree.map_structure(lambda *parts: ops.stack(parts), *map(one, range(count)))
    return ops.map(one, ops.arange(count, dtype="int32"))


def _group_statistics(
    layer: ConvLayer, config: Wav2Vec2Config, waveform: Any, sample_lengths: Any
) -> tuple[Any, Any]:
    """Mean and variance (batch, 1, channels) of each channel over the valid frames of the first convolution."""
    width, stride = config.conv_kernel[0], config.conv_stride[0]
    frames = conv_output_length(waveform.shape[1], width, stride)
    lengths = ops.full((waveform.shape[0],), frames, dtype="int32")
    if sample_lengths is not None:
        lengths = ops.cast(conv_output_length(sample_lengths, width, stride), "int32")

    def statistics(x: Any, start: Any) -> tuple[Any, Any, Any]:
        x = layer.conv(x)
        place = start + ops.arange(x.shape[1], dtype="int32")
        return layer.layer_norm.statistics(x, place[None, :] < lengths[:, None])

    most = BLOCK_FRAMES * config.inputs_to_logits_ratio // stride
    counts, means, squares = _for_each_block(statistics, waveform, frames, most, stride, width)
    total = ops.maximum(ops.sum(counts, axis=0), 1.0)
    mean = ops.sum(counts * means, axis=0) / total
    return mean, ops.sum(squares + counts * ops.square(means - mean), axis=0) / total
