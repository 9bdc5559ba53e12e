"""The options of a fairseq checkpoint as fields of ``Wav2Vec2Config``.

fairseq kept its options as one flat ``argparse.Namespace`` under ``args`` and keeps them, since its version 0.10.2, in
sections under ``cfg``. A fine-tuned model's options hold those of the pretrained model in ``w2v_args``.
"""

from __future__ import annotations

from typing import Any

from tfwav2vec2.weights.formats.conv_expression import Convolution, parse_convolutions
from tfwav2vec2.weights.formats.inert_objects import InertObject, attribute

# Field here, option there, and fairseq's default, whose type is the option's. First what describes the model:
_ARCHITECTURE: tuple[tuple[str, str, Any], ...] = (
    ("hidden_size", "encoder_embed_dim", 768),
    ("num_hidden_layers", "encoder_layers", 12),
    ("intermediate_size", "encoder_ffn_embed_dim", 3072),
    ("num_attention_heads", "encoder_attention_heads", 12),
    ("do_stable_layer_norm", "layer_norm_first", False),
    ("conv_bias", "conv_bias", False),
    ("num_conv_pos_embeddings", "conv_pos", 128),
    ("num_conv_pos_embedding_groups", "conv_pos_groups", 16),
)
# then what training it takes, which fine-tuning sets anew,
_TRAINING: tuple[tuple[str, str, Any], ...] = (
    ("hidden_dropout", "dropout", 0.1),
    ("attention_dropout", "attention_dropout", 0.1),
    ("activation_dropout", "activation_dropout", 0.0),
    ("feat_proj_dropout", "dropout_input", 0.0),
    ("mask_time_prob", "mask_prob", 0.65),
    ("mask_time_length", "mask_length", 10),
    ("mask_feature_prob", "mask_channel_prob", 0.0),
    ("mask_feature_length", "mask_channel_length", 10),
)
# and what only pretraining or only fine-tuning has.
_PRETRAINING: tuple[tuple[str, str, Any], ...] = (
    ("layerdrop", "encoder_layerdrop", 0.0),
    ("feat_quantizer_dropout", "dropout_features", 0.0),
    ("num_negatives", "num_negatives", 100),
    ("contrastive_logits_temperature", "logit_temp", 0.1),
)
_FINE_TUNING: tuple[tuple[str, str, Any], ...] = (
    ("layerdrop", "layerdrop", 0.0),
    ("final_dropout", "final_dropout", 0.0),
    ("apply_spec_augment", "apply_mask", False),
)
_CONVOLUTIONS = "[(512, 10, 5)] + [(512, 3, 2)] * 4 + [(512,2,2)] + [(512,2,2)]"
_NORMS = {"default": "group", "layer_norm": "layer"}
# fairseq's fast and accurate forms are the same formula, with tanh.
_ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_fast": "gelu_new",
    "gelu_accurate": "gelu_new",
    "relu": "relu",
    "tanh": "tanh",
}


def config_fields(training: dict[Any, Any], fine_tuned: bool) -> dict[str, Any] | None:
    """The fields that a checkpoint's options describe; None where they do not tell how the encoder was built.

    Args:
        training: what the file holds beside the state dict.
        fine_tuned: whether the state dict is a fine-tuned model's.

    Raises:
        ValueError: for options of another type, or that no ``Wav2Vec2Config`` can express.
    """
    model = _model_options(training)
    if model is None:
        return None
    if not fine_tuned:
        return _architecture(model) | _fields(model, _TRAINING) | _fields(model, _PRETRAINING)
    encoder = _model_options({"args": attribute(model, "w2v_args"), "cfg": attribute(model, "w2v_args")})
    if encoder is None:
        return None
    fields = _architecture(encoder) | _fields(encoder, _PRETRAINING)
    return fields | _fields(model, _TRAINING) | _fields(model, _FINE_TUNING)


def _model_options(training: dict[Any, Any]) -> Any:
    """The section about the model: ``cfg.model``, or all of the flat ``args``."""
    section = attribute(training.get("cfg"), "model")
    if section is not None:
        return section
    arguments = training.get("args")
    return arguments if isinstance(arguments, InertObject) else None


def _architecture(options: Any) -> dict[str, Any]:
    layers = _convolutions(attribute(options, "conv_feature_layers", _CONVOLUTIONS))
    return _fields(options, _ARCHITECTURE) | {
        "conv_dim": [channels for channels, _, _ in layers],
        "conv_kernel": [kernel for _, kernel, _ in layers],
        "conv_stride": [stride for _, _, stride in layers],
        "feat_extract_norm": _choice(options, "extractor_mode", "default", _NORMS),
        "hidden_act": _choice(options, "activation_fn", "gelu", _ACTIVATIONS),
    }


def _fields(options: Any, table: tuple[tuple[str, str, Any], ...]) -> dict[str, Any]:
    return {field: _value(options, option, default) for field, option, default in table}


def _value(options: Any, option: str, default: Any) -> Any:
    value = attribute(options, option, default)
    if type(default) is float and type(value) is int:
        value = float(value)
    if type(value) is not type(default):
        raise ValueError(f"its option {option} is no {type(default).__name__}")
    return value


def _convolutions(value: Any) -> list[Convolution]:
    if not isinstance(value, str):
        raise ValueError("its option conv_feature_layers is no text")
    return parse_convolutions(value)


def _choice(options: Any, option: str, default: str, choices: dict[str, str]) -> str:
    value = _value(options, option, default)
    if value not in choices:
        raise ValueError(f"its option {option} is {value[:100]!r}; supported are {', '.join(choices)}")
    return choices[value]
