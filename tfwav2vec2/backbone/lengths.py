"""From samples to frames: how many frames are valid, and the masks that say so.

Keras is imported where tensors are: plain numbers of samples are counted without it.
"""

from __future__ import annotations

from typing import Any

from tfwav2vec2.config import Wav2Vec2Config


def conv_output_length(length: Any, kernel: int, stride: int) -> Any:
    """Frames that a convolution without padding makes of ``length`` frames (an int, or an integer tensor); at least 0."""
    if isinstance(length, int):
        return max((length - kernel) // stride + 1, 0)
    from keras import ops

    return ops.maximum((length - kernel) // stride + 1, 0)


def frame_lengths(config: Wav2Vec2Config, sample_lengths: Any) -> Any:
    """Frames that the encoder sees for each number of samples (reference: ``_get_feat_extract_output_lengths``).

    The reference gives 0 or -1 for a clip that is too short for one frame, and then attends to nearly everything;
    here such a clip has 0 frames.
    """
    for kernel, stride in zip(config.conv_kernel, config.conv_stride, strict=True):
        sample_lengths = conv_output_length(sample_lengths, kernel, stride)
    return sample_lengths


def adapter_lengths(config: Wav2Vec2Config, lengths: Any) -> Any:
    """Frames that the convolutional adapter leaves of ``lengths`` encoder frames; all of them without an adapter."""
    if config.add_adapter:
        for _ in range(config.num_adapter_layers):
            # Kernel 3 with padding 1 keeps what a kernel of 1 would: the reference's formula.
            lengths = conv_output_length(lengths, 1, config.adapter_stride)
    return lengths


def shortest_clip(config: Wav2Vec2Config) -> int:
    """The fewest samples that make one frame: 400 with the usual convolutions."""
    samples = 1
    for kernel, stride in reversed(list(zip(config.conv_kernel, config.conv_stride, strict=True))):
        samples = (samples - 1) * stride + kernel
    return samples


def valid_mask(lengths: Any, size: Any) -> Any:
    """A boolean mask (batch, size) that is True before each row's length."""
    from keras import ops

    return ops.arange(size, dtype="int32")[None, :] < ops.cast(lengths, "int32")[:, None]


def zero_padding(x: Any, mask: Any) -> Any:
    """``x`` (batch, frames, channels) with zeros wherever ``mask`` (batch, frames) is False, whatever was there."""
    from keras import ops

    return ops.where(ops.expand_dims(mask, -1), x, ops.zeros((), dtype=x.dtype))
