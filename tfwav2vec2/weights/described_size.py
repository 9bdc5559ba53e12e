"""A configuration against the numbers that a file holds, before memory is taken for what it describes."""

from __future__ import annotations

from pathlib import Path

from tfwav2vec2.config import Wav2Vec2Config

# A new head, or layers added to a pretrained model, make it larger than its file, but never this many times.
_LARGEST_GROWTH = 8


def check_described_size(config: Wav2Vec2Config, held: int, path: Path) -> None:
    """Refuse a configuration that describes a far larger model than a file holds.

    Args:
        config: what describes the model.
        held: how many numbers the file holds.
        path: the file, for the message.

    Raises:
        ValueError: for such a pair.
    """
    hidden, output = config.hidden_size, config.output_hidden_size
    described = (
        config.num_hidden_layers * (4 * hidden**2 + 2 * hidden * config.intermediate_size)
        + sum(
            a * b * k
            for a, b, k in zip([1, *config.conv_dim], config.conv_dim, config.conv_kernel, strict=False)
        )
        + config.num_conv_pos_embeddings * hidden**2 // config.num_conv_pos_embedding_groups
        + (config.vocab_size or 0) * hidden
        + config.add_adapter * config.num_adapter_layers * 2 * output**2 * config.adapter_kernel_size
    )
    if described > _LARGEST_GROWTH * held:
        raise ValueError(
            f"The configuration describes a model of {described:,} weights or more, and {path} holds {held:,}; "
            "check that the file and its config.json belong together"
        )
