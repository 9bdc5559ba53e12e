"""What the shapes of a model's tensors say of its architecture."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from typing import Any

from tfwav2vec2.weights.checkpoint import Shape

_CONV = "wav2vec2.feature_extractor.conv_layers.{}."
_LAYER = "wav2vec2.encoder.layers.{}."
_POSITIONS = "wav2vec2.encoder.pos_conv_embed.conv.parametrizations.weight.original1"


def fields_of_shapes(shapes: Mapping[str, Shape]) -> dict[str, Any]:
    """The fields of ``Wav2Vec2Config`` that follow from the shapes of a model with its backbone under ``wav2vec2.``.

    Strides, the number of heads, the order of norms and everything about training leave no trace in shapes.

    Raises:
        ValueError: where a tensor that tells them is not there, or has other axes.
    """
    convolutions = [
        _shape(shapes, _CONV.format(i) + "conv.weight", 3) for i in _layers(shapes, _CONV, "conv.weight")
    ]
    norms = [_CONV.format(i) + "layer_norm.weight" in shapes for i in range(len(convolutions))]
    hidden, _ = _shape(shapes, "wav2vec2.feature_projection.projection.weight", 2)
    _, group_width, positions = _shape(shapes, _POSITIONS, 3)
    intermediate, _ = _shape(shapes, _LAYER.format(0) + "feed_forward.intermediate_dense.weight", 2)
    fields: dict[str, Any] = {
        "hidden_size": hidden,
        "num_hidden_layers": len(_layers(shapes, _LAYER, "final_layer_norm.weight")),
        "intermediate_size": intermediate,
        "conv_dim": [channels for channels, _, _ in convolutions],
        "conv_kernel": [kernel for _, _, kernel in convolutions],
        "conv_bias": _CONV.format(0) + "conv.bias" in shapes,
        "feat_extract_norm": "layer" if len(norms) > 1 and all(norms) else "group",
        "num_conv_pos_embeddings": positions,
        "num_conv_pos_embedding_groups": hidden // group_width,
    }
    adapter = _LAYER.format(0) + "adapter_layer.linear_1.weight"
    if adapter in shapes:
        fields["adapter_attn_dim"], _ = _shape(shapes, adapter, 2)
    if "lm_head.weight" in shapes:
        fields["vocab_size"], _ = _shape(shapes, "lm_head.weight", 2)
    if "quantizer.codevectors" in shapes:
        _, vectors, width = _shape(shapes, "quantizer.codevectors", 3)
        projected, quantized = _shape(shapes, "project_q.weight", 2)
        groups = quantized // width
        fields |= {
            "codevector_dim": quantized,
            "num_codevector_groups": groups,
            "num_codevectors_per_group": vectors // groups,
            "proj_codevector_dim": projected,
        }
    return fields


def _shape(shapes: Mapping[str, Shape], key: str, axes: int) -> Shape:
    shape = shapes.get(key, ())
    if len(shape) != axes or 0 in shape:
        raise ValueError(f"its tensor {key} is missing or has no {axes} axes")
    return shape


def _layers(shapes: Mapping[str, Shape], prefix: str, end: str) -> range:
    """The numbers of the layers that are there, from 0 on."""
    return range(next(i for i in count() if prefix.format(i) + end not in shapes))
