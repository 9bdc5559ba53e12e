"""The sizes of the models that most tests build: as small as they come, with three convolutions of unlike widths."""

from __future__ import annotations

TINY = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "conv_dim": [8, 8, 12],
    "conv_stride": [5, 3, 2],
    "conv_kernel": [10, 4, 3],
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 4,
    "vocab_size": 10,
    "mask_time_length": 3,
}
